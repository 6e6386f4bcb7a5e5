package main

import (
	"os"
	"strings"
	"testing"
)

// The manual page of the Debian package names every command.
func TestManualPage(t *testing.T) {
	content, err := os.ReadFile("../../build/deb/files/nacre.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range root().Commands() {
		name := strings.ReplaceAll(c.Name(), "-", `\-`) // as troff spells it
		if !c.Hidden && !strings.Contains(string(content), "\n.B nacre "+name+"\n") {
			t.Errorf("nacre %s is missing", c.Name())
		}
	}
}
