// Package guest builds the small bootable image that a fresh cloud starts
// with, and that tests boot.
//
// Everything in it comes from Debian packages: the cloud kernel, busybox,
// dropbear and a few filesystem programs, with a handful of scripts from the
// folder files. It boots from an ordinary disk (MBR, syslinux, an ext4 root
// that grows with the disk), reads its instance data from a config drive or
// the metadata service, answers ssh, heeds the power button, and has the user
// cirros that test suites expect. Its size is under 20 MB.
//
// The build needs no privileges and mounts nothing: mke2fs fills the root from
// a folder, debugfs sets owners and modes in it, mtools fill the boot
// partition. The host gets no file that only root could make; in particular
// the program that is setuid in the guest is not setuid on the host.
package guest

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nacre/internal/lock"
)

// version grows when the build changes in a way that the files do not show.
const version = "3"

//go:embed files
var files embed.FS

// Options says where and how to build.
type Options struct {
	Dir      string       // keeps the image and the downloaded packages; made if missing
	Progress func(string) // hears one line per step; nil: nobody listens

	// Drivers makes an image whose kernel knows the disks and network cards that
	// machines had before virtio: it is larger, and so is its download.
	Drivers bool
}

// Build makes the image if Dir does not have it yet, and returns its path.
// Concurrent builds in one folder wait for each other, also across processes.
// An interrupted build leaves a folder that the next one removes.
func Build(ctx context.Context, o Options) (string, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	err := os.MkdirAll(o.Dir, 0o755)
	if err != nil {
		return "", fmt.Errorf("make guest folder: %w", err)
	}
	unlock, err := locked(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	key, err := fingerprint()
	if err != nil {
		return "", err
	}
	b := &builder{cache: o.Dir, progress: o.Progress, choice: lean}
	if o.Drivers {
		key, b.choice = key+"-drivers", withDrivers
	}
	image := filepath.Join(o.Dir, "nacre-guest-"+key+".qcow2")
	_, err = os.Stat(image)
	if err == nil {
		return image, nil
	}
	err = checkHost()
	if err != nil {
		return "", err
	}
	work := filepath.Join(o.Dir, "build")
	err = os.RemoveAll(work)
	if err != nil {
		return "", fmt.Errorf("remove interrupted build: %w", err)
	}
	err = os.Mkdir(work, 0o755)
	if err != nil {
		return "", fmt.Errorf("make build folder: %w", err)
	}
	defer os.RemoveAll(work)

	b.work = work
	built, err := b.build(ctx)
	if err != nil {
		return "", fmt.Errorf("build guest image: %w", err)
	}
	err = os.Rename(built, image)
	if err != nil {
		return "", fmt.Errorf("put guest image in place: %w", err)
	}
	return image, nil
}

// fingerprint names what the image is made from, so that a changed script
// leads to a new image.
func fingerprint() (string, error) {
	sum := sha256.New()
	sum.Write([]byte(version))
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", path, len(data))
		sum.Write(data)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read guest files: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

func locked(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open guest lock: %w", err)
	}
	err = lock.Wait(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock guest folder: %w", err)
	}
	return func() { f.Close() }, nil
}
