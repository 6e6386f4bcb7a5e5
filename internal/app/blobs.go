package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nacre/internal/atomicfile"
	"nacre/internal/blob/files"
	"nacre/internal/clock"
	"nacre/internal/cluster"
)

// blobsMark is the file that tells the folder of a cloud's bytes from any other.
const blobsMark = ".nacre-cloud"

// openBlobs opens the folder with the bytes of images and objects, and makes
// sure that it is the one that the cloud's other servers have.
func (cloud *Cloud) openBlobs(ctx context.Context) (*files.Store, error) {
	store, err := files.New(cloud.Config.Blobs)
	if err == nil {
		err = cloud.DB.Exclusive(ctx, "app.blobs", cloud.checkBlobs)
	}
	if err != nil {
		return nil, fmt.Errorf("open the byte store: %w", err)
	}
	return store, nil
}

// checkBlobs compares the mark in the folder with the one that the servers agreed
// on. The mark is there before anybody relies on it: if we stop in between, the
// next start finds a mark in an otherwise empty folder and takes it.
func (cloud *Cloud) checkBlobs(ctx context.Context) error {
	dir := cloud.Config.Blobs
	want, settled, err := cluster.Known(ctx, cloud.DB, "blobs")
	if err != nil {
		return err
	}
	found, err := os.ReadFile(filepath.Join(dir, blobsMark))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	has := strings.TrimSpace(string(found))
	used, err := filepath.Glob(filepath.Join(dir, "??"))
	switch {
	case err != nil:
		return err
	case settled && has == want:
		return nil
	case settled && has == "":
		return fmt.Errorf("%s is not the folder that the cloud's servers keep image and object bytes in: is the shared folder mounted? (setting blobs)", dir)
	case settled, has != "" && len(used) > 0:
		return fmt.Errorf("%s has the image and object bytes of another cloud (setting blobs)", dir)
	case has == "":
		has = clock.UUID()
		err = atomicfile.Write(filepath.Join(dir, blobsMark), []byte(has+"\n"), 0o644)
		if err != nil {
			return err
		}
	}
	_, err = cluster.Fact(ctx, cloud.DB, "blobs", func() (string, error) { return has, nil })
	return err
}
