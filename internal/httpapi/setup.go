package httpapi

import (
	"context"

	"github.com/mailbrook/mailbrook/api"
)

// ListProviders returns the presets.
func (s *server) ListProviders(ctx context.Context, _ api.ListProvidersRequestObject) (api.ListProvidersResponseObject,
	error,
) {
	ps := s.Providers.Providers(languageOf(ctx))
	out := make([]api.Provider, len(ps))
	for i, p := range ps {
		auth := make([]api.ProviderAuth, len(p.Auth))
		for j, a := range p.Auth {
			auth[j] = api.ProviderAuth(a)
		}
		out[i] = api.Provider{
			Id: p.ID, Name: p.Name, Domains: list(p.Domains), Protocols: protocolsJSON(p.Servers),
			Auth: auth, Oauth: p.OAuth,
		}
		out[i].Help.Text, out[i].Help.Steps = p.Help.Text, list(p.Help.Steps)
		out[i].Help.Note, out[i].Help.Pop3 = p.Help.Note, p.Help.POP3
		out[i].Help.Url = text(p.Help.URL)
		out[i].Help.EnableAccessUrl = text(p.Help.EnableAccessURL)
		out[i].Help.AppPasswordUrl = text(p.Help.AppPasswordURL)
	}
	return api.ListProviders200JSONResponse{Body: api.ProviderList{Providers: out}}, nil
}

// GetAutoconfig returns settings for an address.
func (s *server) GetAutoconfig(ctx context.Context, r api.GetAutoconfigRequestObject) (api.GetAutoconfigResponseObject,
	error,
) {
	found, err := s.Accounts.Discover(ctx, caller(ctx).Owner, r.Params.Email)
	if err != nil {
		return nil, err
	}
	return api.GetAutoconfig200JSONResponse{
		Source: api.AutoconfigSource(found.Source), Provider: text(found.Provider), Name: found.Name,
		Folder: found.Folder, Protocols: protocolsJSON(found.Servers), Username: text(found.Username),
		DidYouMean: text(found.DidYouMean),
	}, nil
}

// ListIdentities returns From identities.
func (s *server) ListIdentities(ctx context.Context,
	_ api.ListIdentitiesRequestObject,
) (api.ListIdentitiesResponseObject, error) {
	as, err := s.Accounts.List(ctx, caller(ctx).Owner)
	if err != nil {
		return nil, err
	}
	out := make([]api.Identity, len(as))
	for i, a := range as {
		out[i] = api.Identity{AccountId: string(a.ID), Email: a.Email, Name: a.SenderName}
	}
	return api.ListIdentities200JSONResponse{Identities: out}, nil
}

// GetQuota returns the caller's quota.
func (s *server) GetQuota(ctx context.Context, _ api.GetQuotaRequestObject) (api.GetQuotaResponseObject, error) {
	q, err := s.Quotas.Quota(ctx, caller(ctx).Owner)
	if err != nil {
		return nil, err
	}
	return api.GetQuota200JSONResponse{
		Body: quotaJSON(q), Headers: api.GetQuota200ResponseHeaders{ETag: etag(q.Version())},
	}, nil
}
