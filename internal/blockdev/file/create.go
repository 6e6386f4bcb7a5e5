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
	if v.Source.Stray != "" {
		return h.adopt(ctx, v, want)
	}
	source, live, err := h.source(ctx, v, want)
	if err != nil {
		return err
	}
	return h.fill(ctx, v, source, live, want)
}

// fill makes a volume from what source describes, or, when its size is live, from
// a volume that is in use.
func (h *Host) fill(ctx context.Context, v blockdev.Volume, source string, live, want int64) error {
	key, err := h.key(ctx, v)
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

	switch {
	case v.Encrypted:
		err = h.fillEncrypted(ctx, v, source, live, path, key)
	case live > 0:
		err = h.tool.Run(ctx, want, "create", "-q", "-f", "qcow2", path, strconv.FormatInt(live, 10))
		if err == nil {
			err = h.copyLive(ctx, v.Source.Volume, path)
		}
	case source == "":
		err = h.tool.Run(ctx, want, "create", "-q", "-f", "qcow2", path, strconv.FormatInt(want, 10))
	default:
		err = h.tool.Run(ctx, want, "convert", "-q", "-O", "qcow2", source, path)
	}
	if err != nil {
		return err
	}
	h.at("filled")
	err = h.resize(ctx, path, key, want)
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

// remake makes the bytes of a volume anew from its source. Its revision is
// written last: if we stop before, the bytes are made once more.
func (h *Host) remake(ctx context.Context, v blockdev.Volume, r record) error {
	d, alive := h.daemon(v.ID)
	if alive && !d.Opened {
		return errs.Conflictf("Volume %s is in use and cannot be made anew.", v.ID)
	}
	err := h.stopDaemon(v.ID)
	if err == nil {
		err = h.create(ctx, v)
	}
	if err != nil {
		return err
	}
	r.Revision = v.Revision
	return writeJSON(h.recordPath(v.ID), r)
}

// grow makes a volume larger. qemu-img writes the new size last, so a volume
// whose growth is interrupted is whole, at its former size.
func (h *Host) grow(ctx context.Context, v blockdev.Volume, want int64) error {
	id := v.ID
	d, alive := h.daemon(id)
	if alive && d.Opened {
		return errs.Conflictf("Volume %s is being copied and cannot grow.", id)
	}
	if alive {
		return h.growLive(ctx, id, d, want)
	}
	key, err := h.key(ctx, v)
	if err == nil {
		err = h.resize(ctx, h.disk(id), key, want)
	}
	if err != nil {
		return err
	}
	return atomicfile.Sync(h.disk(id))
}

// resize makes a qcow2 at least as large as wanted.
func (h *Host) resize(ctx context.Context, path, key string, want int64) error {
	size, err := diskSize(path)
	if err != nil || size >= want {
		return err
	}
	if key != "" {
		return h.tool.RunWith(ctx, want, key, "resize", "-q", "--image-opts", encrypted(path), strconv.FormatInt(want, 10))
	}
	return h.tool.Run(ctx, want, "resize", "-q", "-f", "qcow2", path, strconv.FormatInt(want, 10))
}

// source says where the bytes come from, as qemu-img takes it; empty for a blank
// volume. Of a volume in use it says the size instead: its daemon copies it. The
// description names the format and forbids a backing file, so that
// even an image which fooled the inspector could not lead anywhere.
func (h *Host) source(ctx context.Context, v blockdev.Volume, want int64) (source string, live int64, err error) {
	switch {
	case v.Source.Image != "":
		source, err = h.imageSource(ctx, v, want)
		return source, 0, err
	case v.Source.Volume != "":
		return h.volumeSource(v, want)
	}
	return "", 0, nil
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
	format = inspect.AsDisk(format)
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

func (h *Host) volumeSource(v blockdev.Volume, want int64) (source string, live int64, err error) {
	id := v.Source.Volume
	if !ids.MatchString(id) {
		return "", 0, errs.NotFoundf("Volume %s could not be found.", id)
	}
	size, err := diskSize(h.disk(id))
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, errs.NotFoundf("Volume %s could not be found.", id)
	}
	if err != nil {
		return "", 0, err
	}
	if size > want {
		return "", 0, errs.BadRequestf("Volume size %dGB cannot be smaller than the source's size %dGB.", v.SizeGB, (size+gib-1)/gib)
	}
	// Should a daemon start or end right after this, the copy fails, by the lock
	// on the file or the lost connection, and is tried again.
	_, alive := h.daemon(id)
	if alive {
		return "", size, nil
	}
	source, err = describe(inspect.QCOW2, h.disk(id))
	return source, 0, err
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
