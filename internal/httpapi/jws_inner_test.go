package httpapi

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// TestTokensAndSessionsOutliveAnUpgrade: these were signed by golang-jwt, which verified
// them until now. What is signed today says the same. The control is another secret.
func TestTokensAndSessionsOutliveAnUpgrade(t *testing.T) {
	const (
		oldToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." +
			"eyJhdWQiOlsibWFpbGJyb29rIl0sImV4cCI6MTgwMDAwMzYwMCwiaWF0IjoxODAwMDAwMDAwLCJpc3MiOiJ3ZWJtYWlsIiwic2NvcGUi" +
			"OiJhZG1pbiIsInN1YiI6ImFubmFAZmlybWEudGVzdCIsInVpZCI6IjEwNDEifQ." +
			"a0p4OkW_znBRTvrEnBEkyPQB-75HqVZ--1kjFZUBjPE"
		oldSession = "eyJhbGciOiJIUzI1NiIsInR5cCI6Im1haWxicm9vay1zZXNzaW9uK2p3dCJ9." +
			"eyJzdWIiOiJhbm5hQGZpcm1hLnRlc3QiLCJhdWQiOlsibWFpbGJyb29rLXNlc3Npb24iXSwiZXhwIjoxODAwMDQzMjAwLCJpYXQiOjE4" +
			"MDAwMDAwMDAsImp0aSI6ImEtc2Vzc2lvbiIsInNjb3BlIjoiYWRtaW4ifQ." +
			"VpIVsmRNVZbrWNFTNFC1x2vK-yPl0PxjHQ94vUnyBU8"
	)
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	for secret, ok := range map[string]bool{
		"an example of a secret: 32 octets": true, "another example of it: 32 octets": false,
	} {
		k := Keys{
			Secret: []byte(secret), Issuer: "webmail", Audience: "mailbrook", UserIDClaim: "uid", Now: now,
		}
		v, err := NewVerifier(k)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSessions(Web{Secret: k.Secret, PublicURL: "https://mail.firma.test"}, now)
		if err != nil {
			t.Fatal(err)
		}
		newToken, err1 := k.SignAs(o, "1041", true, time.Hour)
		newSession, err2 := s.sign("a-session", o, true)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		before, err1 := v.Verify(t.Context(), oldToken)
		session, err2 := s.read(oldSession)
		if (err1 == nil) != ok || (err2 == nil) != ok {
			t.Fatalf("by %q: token %v, session %v", secret, err1, err2)
		}
		if !ok {
			continue
		}
		if today, err := v.Verify(t.Context(), newToken); err != nil || today != before || !before.Admin {
			t.Errorf("a token of today is %+v, of before %+v: %v", today, before, err)
		}
		if today, err := s.read(newSession); err != nil || today != session || session.session != "a-session" {
			t.Errorf("a session of today is %+v, of before %+v: %v", today, session, err)
		}
	}
}
