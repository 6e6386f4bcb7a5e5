package app

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneCloudPerDataFolder(t *testing.T) {
	dir := t.TempDir()
	first := &Cloud{Config: Config{DataDir: dir}}
	err := first.lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(context.Background(), Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "another nacre runs on "+dir) {
		t.Errorf("a second cloud on the folder: got %v, want a refusal", err)
	}
	err = first.Close()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDownLeavesForeignFoldersAlone(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "thesis.txt")
	err := os.WriteFile(precious, []byte("years of work"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = Down(context.Background(), Config{DataDir: dir}, DownOptions{All: true, Yes: true, Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "is not the data folder of a cloud") {
		t.Errorf("got %v, want a refusal", err)
	}
	_, err = os.Stat(precious)
	if err != nil {
		t.Error(err)
	}
}

func TestDataFolderIsRemovedWithItsMarksLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, name := range append([]string{"nacre.db", "zz"}, marks...) {
		err := os.MkdirAll(filepath.Join(dir, name), 0o700)
		if err != nil {
			t.Fatal(err)
		}
	}
	err := isDataDir(dir)
	if err == nil {
		err = removeDataDir(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(dir)
	if !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestListenerHasLimits(t *testing.T) {
	s := server(t.Context(), nil)
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
}

func TestShellWords(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:5000/v3": "http://127.0.0.1:5000/v3",
		"/home/a b/ca.pem":         "'/home/a b/ca.pem'",
		"it's; rm":                 `'it'\''s; rm'`,
		"":                         "''",
	} {
		if got := shellWord(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// forgetTests takes the variables of tests, which are no settings, from the environment.
func forgetTests(t *testing.T) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "NACRE_TEST_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}

func TestSettingsFileSetsNothingAndNamesAll(t *testing.T) {
	var text strings.Builder
	err := SettingsFile(&text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nacre.yaml")
	err = os.WriteFile(file, []byte(text.String()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	forgetTests(t)
	got, err := Load(Config{Listen: "here"}, file)
	if err != nil || got.Listen != "here" {
		t.Errorf("got %+v, %v, want what was there", got, err)
	}
	for _, s := range Settings() {
		if !strings.Contains(text.String(), "\n#"+s.Name+":\n") {
			t.Errorf("setting %s is missing", s.Name)
		}
	}
}
