package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"nacre/internal/atomicfile"
	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
)

// create makes a volume under another name and gives it its own when every byte
// is on disk.
func (h *Host) create(ctx context.Context, v blockdev.Volume) error {
	want := int64(v.SizeGB) * gib
	source, err := h.source(ctx, v, want)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(h.volumes, unfinished+v.ID+"-*")
	if err != nil {
		return err
	}
	path := f.Name()
	defer os.Remove(path) // a no-op once it has its name
	err = f.Close()
	if err != nil {
		return err
	}
	h.at("named")

	if source == "" {
		err = h.tool.Run(ctx, want, "create", "-q", "-f", "qcow2", path, strconv.FormatInt(want, 10))
	} else {
		err = h.tool.Run(ctx, want, "convert", "-q", "-O", "qcow2", source, path)
	}
	if err != nil {
		return err
	}
	h.at("filled")
	err = h.resize(ctx, path, want)
	if err != nil {
		return err
	}
	h.at("resized")
	err = atomicfile.Sync(path)
	if err != nil {
		return err
	}
	h.at("flushed")
	err = os.Rename(path, h.disk(v.ID))
	if err != nil {
		return err
	}
	h.at("renamed")
	return atomicfile.Sync(h.volumes)
}

// grow makes a volume larger. qemu-img writes the new size last, so a volume
// whose growth is interrupted is whole, at its former size.
func (h *Host) grow(ctx context.Context, id string, want int64) error {
	_, alive := h.daemon(id)
	if alive {
		return errs.Conflictf("Volume %s is in use and cannot grow.", id)
	}
	err := h.resize(ctx, h.disk(id), want)
	if err != nil {
		return err
	}
	return atomicfile.Sync(h.disk(id))
}

// resize makes a qcow2 at least as large as wanted.
func (h *Host) resize(ctx context.Context, path string, want int64) error {
	size, err := diskSize(path)
	if err != nil || size >= want {
		return err
	}
	return h.tool.Run(ctx, want, "resize", "-q", "-f", "qcow2", path, strconv.FormatInt(want, 10))
}

// source says where the bytes come from, as qemu-img takes it; empty for a blank
// volume. The description names the format and forbids a backing file, so that
// even an image which fooled the inspector could not lead anywhere.
func (h *Host) source(ctx context.Context, v blockdev.Volume, want int64) (string, error) {
	switch {
	case v.Source.Image != "":
		return h.imageSource(ctx, v, want)
	case v.Source.Volume != "":
		return h.volumeSource(v, want)
	}
	return "", nil
}

func (h *Host) imageSource(ctx context.Context, v blockdev.Volume, want int64) (string, error) {
	if h.options.Images == nil {
		return "", errs.NotFoundf("Image %s could not be found.", v.Source.Image)
	}
	path, format, err := h.options.Images.Path(ctx, v.Source.Image)
	if err != nil {
		return "", fmt.Errorf("fetch image %s: %w", v.Source.Image, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open image %s: %w", v.Source.Image, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("open image %s: %w", v.Source.Image, err)
	}
	// The image was inspected when it came to this host. To look again costs a
	// millisecond, and this is the last door before qemu-img.
	found, err := inspect.File(f, info.Size())
	if err != nil {
		return "", fmt.Errorf("open image %s: %w", v.Source.Image, err)
	}
	err = found.Matches(format)
	if err == nil && format != inspect.QCOW2 && format != inspect.Raw {
		err = fmt.Errorf("no volume can be made from the format %s", format)
	}
	if err != nil {
		return "", errs.BadRequestf("Image %s is unacceptable: %s.", v.Source.Image, err)
	}
	if found.VirtualSize > want {
		return "", errs.BadRequestf("Size of specified image %dGB is larger than volume size %dGB.", (found.VirtualSize+gib-1)/gib, v.SizeGB)
	}
	return describe(format, path)
}

func (h *Host) volumeSource(v blockdev.Volume, want int64) (string, error) {
	id := v.Source.Volume
	if !ids.MatchString(id) {
		return "", errs.NotFoundf("Volume %s could not be found.", id)
	}
	size, err := diskSize(h.disk(id))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errs.NotFoundf("Volume %s could not be found.", id)
	}
	if err != nil {
		return "", err
	}
	if size > want {
		return "", errs.BadRequestf("Volume size %dGB cannot be smaller than the source's size %dGB.", v.SizeGB, (size+gib-1)/gib)
	}
	// Should it be exported right after this, the daemon's lock on the file makes
	// the copy fail, and it is tried again.
	_, alive := h.daemon(id)
	if alive {
		return "", errs.Conflictf("Volume %s is in use and cannot be copied.", id)
	}
	return describe(inspect.QCOW2, h.disk(id))
}

// describe names an image file to QEMU's programs.
func describe(format, path string) (string, error) {
	node := map[string]any{
		"driver": format,
		"file":   map[string]any{"driver": "file", "filename": path},
	}
	if format == inspect.QCOW2 {
		node["backing"] = nil
	}
	text, err := json.Marshal(node)
	if err != nil {
		return "", err
	}
	return "json:" + string(text), nil
}

// cleanEnv is all that a program we start gets to know of our environment.
func cleanEnv() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
}
