package account

import (
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// Secret names the account's sealed secret.
func (a Account) Secret() remote.SecretRef {
	return remote.SecretRef{Owner: a.Owner, Subject: string(a.ID), Field: remote.SignsIn}
}

// Mailbox is the mailbox that the account is fetched from.
func (a Account) Mailbox() remote.Mailbox {
	return remote.Mailbox{
		Provider: a.Provider, Email: a.Email, Protocol: a.Protocol, Server: a.Server, Username: a.Username, Auth: a.Auth,
		Secret: a.Secret(), Capabilities: a.Capabilities, Edits: a.SettingsEpoch, LoginProof: a.LoginProof,
	}
}

// Route is the way of the account's mail. They have one id.
func (a Account) Route() route.Route {
	return route.Route{
		ID: a.ID, Kind: route.Keep, Owner: a.Owner, From: a.Mailbox(), Folder: a.Folder, Folders: a.Folders,
		Start: a.Start, MaxMessageBytes: a.MaxMessageBytes, CreatedAt: a.CreatedAt, Journal: a.Journal,
	}
}
