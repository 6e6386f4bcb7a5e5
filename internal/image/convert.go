package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"nacre/internal/blob"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
)

// converter makes raw disks of images.
type converter interface {
	// Raw writes the disk that is in the image, of the format and the size, into
	// the target. It must not follow the image to other files.
	Raw(ctx context.Context, source, format string, size int64, target string) error
}

// convertible are the disk formats that can become raw.
var convertible = []string{inspect.QCOW2, inspect.VMDK, inspect.VHD, inspect.VHDX, inspect.VDI, inspect.Ploop}

// converted are the bytes as they will be stored, and their disk format when
// that is another one than the image's. What is converted must be what it claims.
func (s *Service) converted(ctx context.Context, image Image, state *importState, from blob.Reader) (bytes io.ReadSeekCloser, format string, err error) {
	if s.converter == nil || !slices.Contains(convertible, image.DiskFormat) {
		return open{from}, "", nil
	}
	content, err := inspect.File(from, from.Size())
	if err != nil {
		return nil, "", err
	}
	err = content.Matches(image.DiskFormat)
	if err != nil {
		return nil, "", errs.New(errs.UnsupportedMedia, "Image content was refused: %s.", err)
	}
	if content.VirtualSize > MaxSize {
		return nil, "", TooLarge(content.VirtualSize)
	}
	files, ok := s.stores[0].Blobs.(locator)
	if !ok {
		return open{from}, "", nil
	}
	source, err := files.Path(state.Staged)
	if err != nil {
		return nil, "", err
	}
	target := filepath.Join(s.work, state.Upload+".raw")
	err = s.converter.Raw(ctx, source, content.Format, content.VirtualSize, target)
	if err != nil {
		os.Remove(target)
		return nil, "", err
	}
	f, err := os.Open(target)
	if err != nil {
		return nil, "", fmt.Errorf("open the converted image %s: %w", image.ID, err)
	}
	return temporary{f}, inspect.Raw, nil
}

// open is a file that somebody else closes.
type open struct{ io.ReadSeeker }

// Close implements io.Closer.
func (open) Close() error { return nil }

// temporary is a file that goes when it is closed.
type temporary struct{ *os.File }

// Close implements io.Closer.
func (t temporary) Close() error {
	err := t.File.Close()
	if err == nil {
		err = os.Remove(t.Name())
	}
	return err
}
