package auth

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	userHex    = "0ca8f6de2b7d4b14a1c0f2d1e3b4a596"
	projectHex = "263fd9b2a1c34d5e8f90a1b2c3d4e5f6"
)

var issued = time.Unix(1795341600, 0).UTC()

// fixedKeys opens a repository whose primary key is the bytes 0 to 31.
func fixedKeys(t testing.TB) *Keys {
	t.Helper()
	var secret [32]byte
	for i := range secret {
		secret[i] = byte(i)
	}
	k := &Keys{}
	err := k.Set([]Key{NewKey(Fernet, 0), {Fernet, 1, base64.URLEncoding.EncodeToString(secret[:])}})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestKeystoneTokens reads tokens in the form Keystone issues. They were made
// with Python's cryptography package, the initialization vector being zero.
func TestKeystoneTokens(t *testing.T) {
	t.Parallel()
	own, parent := "ZGVmZ2hpamtsbW5vcHFycw", "c3JxcG9ubWxramloZ2ZlZA"
	token := Token{User: userHex, Methods: []string{"password"}, AuditIDs: []string{own}, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour)}
	domain, system, project := token, token, token
	domain.Domain = "default"
	system.System = true
	project.Project, project.Methods, project.AuditIDs = projectHex, []string{"token", "password"}, []string{own, parent}
	keys := fixedKeys(t)
	for text, want := range map[string]Token{
		"gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAAFwrddm7EbUyGXOI1eXhMd_LCDVvkx_sFxHqRM61Dffg-MrUj9U9d7n_-W6oD1qi9YGEH4c5iZ5UaJl64IzSKN673eN4KM6lL-K6YTh8mx0E0bJ81SQW9hvsD2f9jSe2fw":                                           token,
		"gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAAAxlVCLA59pgQGmyJlYgfYK9yxfrkiSgOpLxZCab96Bx2lDqtTZPVbSsR4Csc_mNp2frfoXQwQhPEuQZnWf8kgyk4HtiwSdtx6sqD2CRsjezGRVTqhOZGRpr9J1xl_RjJw":                                           domain,
		"gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAAIuMSn4TXUrY4husu869GcvwEVUp8CWsy-YRpL1-VKeeiRHfnzWBDRI6EQWs66kh_3YYX-hIPXBA_Vqf0zz1nFxXwoZMcxy4QrPHWrQv4BX2hfJ-lBZmDhkXbdmixlvvfbFhUvn86fNmJpN8wSCyNpFkhRUN7gVmMLwLaucHVoB1": project,
		"gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAABincTM8_lBt7q05Co0L3XVE6TO92mt9CXAs6CA9vI6k7GNlKJJgXvc2cxY-N3QHTI9Lo-KoA-Y4Z5-hCuC2C2JRjaE6m3-4ExUg21Wp5Sm9SQqDSO9pR2r2rVuxIzQ8uw":                                           system,
		"gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAABincTM8_lBt7q05Co0L3XVE6TO92mt9CXAs6CA9vI6k7GNlKJJgXvc2cxY-N3QHTI9Lo-KoA-Y4Z5-hCuC2C2JRjaE6m3-4ExUg21Wp5Sm9SQqDSO9pR2r2rVuxIzQ8uw==":                                         system,
	} {
		got, err := keys.Decode(text)
		if err != nil {
			t.Errorf("%+v: %v", want, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("token differs (-want +got):\n%s", diff)
		}
		payload, _, err := keys.open(text)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := want.pack()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(payload, packed); diff != "" {
			t.Errorf("we pack %+v differently (-Keystone +ours):\n%s", want, diff)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	t.Run("fernet", func(t *testing.T) { roundTrip(t, fixedKeys(t)) })
	t.Run("jws", func(t *testing.T) { roundTrip(t, pairs(t)) })
}

func roundTrip(t *testing.T, keys *Keys) {
	id := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{32}`), rapid.StringMatching(`[0-9A-F]{32}`), rapid.StringMatching(`[^\x00]{1,64}`))
	audit := rapid.Custom(func(t *rapid.T) string {
		return base64.RawURLEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "audit"))
	})
	rapid.Check(t, func(t *rapid.T) {
		want := Token{
			User:      id.Draw(t, "user"),
			Methods:   methodNames(rapid.Int64Range(0, 1<<len(methods)-1).Draw(t, "methods")),
			AuditIDs:  rapid.SliceOfN(audit, 1, 2).Draw(t, "audits"),
			IssuedAt:  time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "issued"), 0).UTC(),
			ExpiresAt: time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "expires"), 0).UTC(),
		}
		scope := rapid.IntRange(0, 7).Draw(t, "scope")
		if scope <= 2 && rapid.Bool().Draw(t, "federated") {
			want.IDP, want.Protocol = id.Draw(t, "provider"), rapid.StringMatching(`[a-z0-9]{1,64}`).Draw(t, "protocol")
		}
		switch scope {
		case 1:
			want.Project = id.Draw(t, "project")
		case 2:
			want.Domain = id.Draw(t, "domain")
		case 3:
			want.System = true
		case 4:
			want.Project, want.AppCredential = id.Draw(t, "project"), id.Draw(t, "credential")
		case 5:
			want.Project, want.Trust = id.Draw(t, "project"), id.Draw(t, "trust")
		case 6:
			want.Project, want.AccessToken = id.Draw(t, "project"), id.Draw(t, "access token")
		case 7:
			want.Project, want.Thumbprint = id.Draw(t, "project"), id.Draw(t, "thumbprint")
		}
		text, err := keys.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "=") {
			t.Errorf("token %q is padded", text)
		}
		got, err := keys.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}

func TestTamperedTokens(t *testing.T) {
	t.Parallel()
	keys := fixedKeys(t)
	text, err := keys.Encode(Token{User: userHex, Project: projectHex, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1
		_, err := keys.Decode(base64.RawURLEncoding.EncodeToString(bad))
		if !errors.Is(err, errToken) {
			t.Fatalf("byte %d flipped: got error %v, want %v", i, err, errToken)
		}
	}
	for _, bad := range []string{"", "=", "gAAAAA", text[:len(text)-1], text + "A", text + "AAAA", text + strings.Repeat("A", 4000), "\x00" + text, strings.ToLower(text)} {
		_, err := keys.Decode(bad)
		if !errors.Is(err, errToken) {
			t.Errorf("%.40q: got error %v, want %v", bad, err, errToken)
		}
	}
	other := &Keys{}
	err = other.Set([]Key{NewKey(Fernet, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Decode(text)
	if !errors.Is(err, errToken) {
		t.Errorf("other keys: got error %v, want %v", err, errToken)
	}
}

// FuzzUnpack feeds payloads that a key did sign.
func FuzzUnpack(f *testing.F) {
	for _, t := range []Token{
		{User: userHex}, {User: "x", Domain: "default"}, {User: userHex, Project: projectHex, AuditIDs: []string{"ZGVmZ2hpamtsbW5vcHFycw"}},
		{User: userHex, System: true, Methods: []string{"password"}}, {User: userHex, Project: "p", AppCredential: "c"}, {User: userHex, Project: "p", Trust: projectHex},
		{User: userHex, Project: "p", AccessToken: "a"}, {User: userHex, Project: "p", Thumbprint: "t"}, {User: userHex, IDP: "acme", Protocol: "openid"},
		{User: userHex, IDP: "acme", Protocol: "openid", Project: "p"}, {User: userHex, IDP: projectHex, Protocol: "saml2", Domain: "default"},
	} {
		b, err := t.pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := unpack(payload)
		if err != nil {
			return
		}
		if got.User == "" {
			t.Fatalf("accepted a payload without user: %x", payload)
		}
		again, err := got.pack()
		if err != nil {
			t.Fatalf("%+v cannot be packed again: %v", got, err)
		}
		second, err := unpack(again)
		if err != nil {
			t.Fatalf("%+v: %v", got, err)
		}
		got.ExpiresAt = got.ExpiresAt.Truncate(time.Second)
		if diff := cmp.Diff(got, second); diff != "" {
			t.Fatalf("differs after a second round (-first +second):\n%s", diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	keys := fixedKeys(f)
	f.Add("gAAAAABrAr0gAAAAAAAAAAAAAAAAAAAAAFwrddm7EbUyGXOI1eXhMd_LCDVvkx_sFxHqRM61Dffg")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := keys.Decode(text)
		if err != nil && !errors.Is(err, errToken) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestBadKeyFile(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{"short": "key 5 is not base64", "AAAA": "key 5 has 3 bytes, want 32"} {
		dir := t.TempDir()
		err := os.WriteFile(filepath.Join(dir, "5"), []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		found, err := ReadKeys(dir)
		if err == nil {
			err = new(Keys).Set(found)
		}
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got error %v, want %q", text, err, reason)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	keys := fixedKeys(b)
	text, err := keys.Encode(Token{User: userHex, Project: projectHex, IssuedAt: issued, ExpiresAt: issued})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := keys.Decode(text)
		if err != nil {
			b.Fatal(err)
		}
	}
}
