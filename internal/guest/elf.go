package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs is where Debian on amd64 keeps shared libraries.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/lib", "/usr/lib"}

// libraries returns the paths of all shared libraries, the loader included,
// that the program needs, directly or not.
func libraries(program string) ([]string, error) {
	var found []string
	seen := map[string]bool{}
	todo := []string{program}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		f, err := elf.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		names, err := f.ImportedLibraries()
		interpreter := ""
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				data := make([]byte, p.Filesz)
				p.ReadAt(data, 0)
				interpreter = string(bytes.TrimRight(data, "\x00"))
			}
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read needs of %s: %w", path, err)
		}
		if interpreter != "" && !seen[interpreter] {
			seen[interpreter] = true
			found = append(found, interpreter)
		}
		for _, name := range names {
			lib, err := findLibrary(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if seen[lib] || filepath.Base(lib) == filepath.Base(interpreter) || strings.HasPrefix(name, "ld-linux") {
				continue
			}
			seen[lib] = true
			found = append(found, lib)
			todo = append(todo, lib)
		}
	}
	return found, nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s is not on this host", name)
}

// moduleDepends returns the names of the modules that a kernel module needs,
// as its .modinfo section has them.
func moduleDepends(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", path, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("module %s has no .modinfo", path)
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", path, err)
	}
	for _, entry := range bytes.Split(data, []byte{0}) {
		value, ok := bytes.CutPrefix(entry, []byte("depends="))
		if ok && len(value) > 0 {
			return strings.Split(string(value), ","), nil
		}
	}
	return nil, nil
}
