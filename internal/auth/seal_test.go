package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openSealer(t *testing.T, path string) *Sealer {
	t.Helper()
	s, err := OpenSealer(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretsOpenInTheirPlaceAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "credential-keys")
	s := openSealer(t, path)
	sealed := s.Seal("credential 1", "secret")
	if strings.Contains(sealed, "secret") || sealed == s.Seal("credential 1", "secret") {
		t.Errorf("sealed is %q", sealed)
	}
	got, err := openSealer(t, path).Open("credential 1", sealed)
	if err != nil || got != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range [][2]string{{"credential 2", sealed}, {"credential 1", sealed[:len(sealed)-2] + "AA"}, {"credential 1", "x"}, {"credential 1", s.Current() + ".x"}} {
		_, err = s.Open(c[0], c[1])
		if err == nil {
			t.Errorf("%q opened for %s", c[1], c[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of keys has mode %v, %v", info.Mode(), err)
	}
}

func TestANewKeySealsAndTheOldOneOpens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	old := openSealer(t, path)
	sealed := old.Seal("here", "secret")
	openSealer(t, filepath.Join(dir, "more"))
	var content []byte
	for _, name := range []string{"more", "keys"} {
		part, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, part...)
	}
	err := os.WriteFile(path, content, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	both := openSealer(t, path)
	got, err := both.Open("here", sealed)
	if err != nil || got != "secret" || both.Current() == old.Current() {
		t.Errorf("got %q, %v with key %s, before %s", got, err, both.Current(), old.Current())
	}
	_, err = old.Open("here", both.Seal("here", "secret"))
	if err == nil || !strings.Contains(err.Error(), both.Current()) {
		t.Errorf("the old key alone opened what the new one sealed: %v", err)
	}
	for _, content := range []string{"", "# none\n", "short\n", "!!!\n"} {
		err = os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = OpenSealer(path)
		if err == nil {
			t.Errorf("a file with %q opened", content)
		}
	}
}
