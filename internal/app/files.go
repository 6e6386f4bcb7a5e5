package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"nacre/internal/atomicfile"
	"nacre/internal/cluster"
	"nacre/internal/identity"
)

// Secrets are the passwords of a fresh cloud. They are in the database before the
// users are, so that a start which is killed in between can go on, and every
// server can write the files that clients log in with.
type Secrets struct {
	Admin string `json:"admin"`
	Demo  string `json:"demo"`
}

// openSecrets finds the passwords, or makes them. Those of a data folder from
// before they were in the database are taken over.
func (cloud *Cloud) openSecrets(ctx context.Context) (Secrets, error) {
	text, err := cluster.Secret(ctx, cloud.DB, cloud.sealer, "passwords", func() (string, error) {
		content, err := os.ReadFile(filepath.Join(cloud.Config.DataDir, "secrets.json"))
		if errors.Is(err, fs.ErrNotExist) {
			content, err = json.Marshal(Secrets{Admin: identity.NewPassword(), Demo: identity.NewPassword()})
		}
		return string(content), err
	})
	if err != nil {
		return Secrets{}, fmt.Errorf("find the first passwords: %w", err)
	}
	var s Secrets
	err = json.Unmarshal([]byte(text), &s)
	if err != nil {
		return Secrets{}, fmt.Errorf("read the first passwords: %w", err)
	}
	return s, nil
}

// writeClientFiles writes clouds.yaml and openrc, which clients log in with.
func writeClientFiles(c Config, s Secrets) error {
	cloud := func(user, project, password string) map[string]any {
		out := map[string]any{
			"auth": map[string]any{
				"auth_url": c.PublicURL + "/v3", "username": user, "password": password, "project_name": project,
				"user_domain_name": "Default", "project_domain_name": "Default",
			},
			"region_name": c.Region, "interface": "public", "identity_api_version": 3,
		}
		if c.tls() {
			out["cacert"] = filepath.Join(c.DataDir, caFile)
		}
		return out
	}
	content, err := yaml.Marshal(map[string]any{"clouds": map[string]any{
		"nacre":      cloud("admin", "admin", s.Admin),
		"nacre-demo": cloud("demo", "demo", s.Demo),
	}})
	if err != nil {
		return fmt.Errorf("write clouds.yaml: %w", err)
	}
	err = atomicfile.Write(filepath.Join(c.DataDir, "clouds.yaml"), content, 0o600)
	if err != nil {
		return err
	}
	var rc strings.Builder
	for _, line := range [][2]string{
		{"OS_AUTH_URL", c.PublicURL + "/v3"}, {"OS_USERNAME", "admin"}, {"OS_PASSWORD", s.Admin}, {"OS_PROJECT_NAME", "admin"},
		{"OS_USER_DOMAIN_NAME", "Default"}, {"OS_PROJECT_DOMAIN_NAME", "Default"}, {"OS_REGION_NAME", c.Region},
		{"OS_IDENTITY_API_VERSION", "3"},
	} {
		fmt.Fprintf(&rc, "export %s=%s\n", line[0], shellWord(line[1]))
	}
	if c.tls() {
		fmt.Fprintf(&rc, "export OS_CACERT=%s\n", shellWord(filepath.Join(c.DataDir, caFile)))
	}
	return atomicfile.Write(filepath.Join(c.DataDir, "openrc"), []byte(rc.String()), 0o600)
}

// plainWord is text that a shell reads as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// shellWord quotes what a shell would take apart.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
