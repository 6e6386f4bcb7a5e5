package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The section of identity providers is read whole, and a word that nobody knows is
// an error: a misspelt audience must not be none.
func TestFederationSettings(t *testing.T) {
	for text, problem := range map[string]string{
		"federation:\n  trusted_dashboards: [https://h/]\n  openid:\n    - {identity_provider: acme, issuer: 'https://acme', client_id: n, audiences: [a, b]}\n": "",
		"federation:\n  openid:\n    - {identity_provider: acme, audience: [a]}\n":                                                                               "audience",
		"federation:\n  openids: []\n": "openids",
		"federation: yes\n":            "federation",
	} {
		file := filepath.Join(t.TempDir(), "nacre.yaml")
		err := os.WriteFile(file, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range os.Environ() { // those of whoever runs tests are no settings
			name, value, _ := strings.Cut(variable, "=")
			if strings.HasPrefix(name, "NACRE_") {
				t.Setenv(name, value)
				os.Unsetenv(name)
			}
		}
		got, err := Load(Config{}, file)
		if problem != "" {
			if err == nil || !strings.Contains(err.Error(), problem) {
				t.Errorf("%q: got %v, want it to name %s", text, err, problem)
			}
			continue
		}
		if err != nil || len(got.Federation.OpenID) != 1 || len(got.Federation.OpenID[0].Audiences) != 2 || got.Federation.TrustedDashboards[0] != "https://h/" {
			t.Errorf("%q: got %+v, %v", text, got.Federation, err)
		}
	}
}
