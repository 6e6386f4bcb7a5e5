package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLastLines(t *testing.T) {
	tests := []struct {
		text  string
		lines int
		want  string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 2, "b\nc"},
		{"a\nb\nc\n", -1, "a\nb\nc\n"},
		{"a\nb\n", 9, "a\nb\n"},
		{"a\nb\n", 0, ""},
		{"a\n\n", 1, "\n"},
		{"", 3, ""},
	}
	for _, test := range tests {
		got := string(lastLines([]byte(test.text), test.lines))
		if got != test.want {
			t.Errorf("last %d lines of %q are %q, want %q", test.lines, test.text, got, test.want)
		}
	}
}

// TestBoundLog: a log that has grown is cut, its end is kept, and what the
// guest says next stands behind it.
func TestBoundLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "console.log")
	guest, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	h := &Host{options: Options{LogLimit: 200}, machines: map[string]*machine{"m": {id: "m", dir: dir}}}
	for i, text := range []string{strings.Repeat("x", 90), strings.Repeat("y", 90), "news\n"} {
		_, err = guest.WriteString(text)
		if err != nil {
			t.Fatal(err)
		}
		err = boundLog(dir, 100)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() > 100 {
			t.Errorf("after turn %d the log has %d bytes, %v, want at most 100", i, info.Size(), err)
		}
	}
	got, err := h.Log(t.Context(), "m", -1)
	want := strings.Repeat("x", 10) + strings.Repeat("y", 90) + "news\n"
	if err != nil || string(got) != want {
		t.Errorf("log is %q, %v, want %q", got, err, want)
	}
}
