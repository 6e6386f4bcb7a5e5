package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nacre/internal/app"
	"nacre/internal/testcloud"
)

// A day of openstacksdk with signed tokens: all services take them.
func TestDayWithSignedTokens(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2), testcloud.TokenProvider("jws"))
	command := exec.CommandContext(t.Context(), "/usr/bin/python3", "sdk.py")
	command.Dir = "../../examples/daily"
	command.Env = append(os.Environ(), "OS_CLOUD=nacre-demo", "OS_CLIENT_CONFIG_FILE="+filepath.Join(cloud.App.Config.DataDir, "clouds.yaml"))
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (make packages installs what is missing)\n%s", err, output)
	}
	if token := cloud.Demo().Token(); !strings.HasPrefix(token, "eyJ") {
		t.Errorf("the token is %s", token)
	}
}

// What nacre admin keys does.
func TestOperatorsRotateKeys(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t)
	dir := cloud.App.Config.DataDir
	type list struct {
		TokenKeys []struct {
			Kind, State string
			Number      int
		} `json:"token_keys"`
	}
	var keys list
	ask := func(method, path string, reply any) error {
		return app.AskOwn(t.Context(), dir, method, path, nil, reply)
	}
	err := ask("GET", "/nacre/v1/token-keys", &keys)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys.TokenKeys {
		got = append(got, k.Kind+" "+k.State)
	}
	if want := []string{"jws primary", "jws staged", "fernet primary", "fernet staged"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	err = ask("POST", "/nacre/v1/token-keys/rotate", nil)
	if err == nil || !strings.Contains(err.Error(), "less than 1m0s old") {
		t.Errorf("rotating keys that were just made: got error %v", err)
	}
}
