// Package atomicfile replaces files as a whole and makes that survive a power
// cut: whoever reads a file afterwards finds the old content or the new one,
// and once Write has returned, the new one.
//
// A file system promises neither by itself. The content must be flushed before
// the file gets its name, or the name may outlive the content; and the folder
// must be flushed after that, or the name may be lost.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Unfinished begins the names of files that have no content yet that counts. A
// process that was killed leaves them behind; whoever owns the folder may
// remove them.
const Unfinished = ".new-"

// Write makes the file at path hold the content, with this mode.
func Write(path string, content []byte, mode os.FileMode) error {
	err := write(path, content, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func write(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), Unfinished+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return Sync(filepath.Dir(path))
}

// Sync flushes a file that another program has written, or the names in a
// folder. Windows flushes neither for somebody who reads; nothing on it has to
// survive a power cut, since real hosts need Linux.
func Sync(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
