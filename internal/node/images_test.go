package node_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/node"
	"nacre/internal/nodeapi"
)

func TestImagesFromTheServer(t *testing.T) {
	r := start(t)
	data := bytes.Repeat([]byte("image"), 200_000)
	sum := sha512.Sum512(data)
	about := nodeapi.ImageReply{Format: "qcow2", Size: int64(len(data)), SHA512: hex.EncodeToString(sum[:])}
	var fetched atomic.Int32
	var broken atomic.Bool
	r.hosts.OnQuery(nodeapi.QueryImage, func(_ context.Context, _ string, payload json.RawMessage) (any, error) {
		if strings.Contains(string(payload), "missing") {
			return nil, errs.NotFoundf("No image found with ID missing")
		}
		return about, nil
	})
	r.hosts.OnStream(nodeapi.StreamImage, func(context.Context, string, string) (func(*nodeapi.Stream) error, error) {
		return func(s *nodeapi.Stream) error {
			fetched.Add(1)
			if broken.Load() {
				_, err := s.Write(data[:1000])
				return errors.Join(err, errors.New("disk died"))
			}
			_, err := s.Write(data)
			return err
		}, nil
	})
	dir := filepath.Join(r.dir, "images")
	var err error
	r.images, err = node.NewImages(node.ImagesOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.images.Path(r.ctx, "cirros")
	if err == nil {
		t.Error("an image came without a server")
	}
	r.run()
	r.connected()
	r.until("the connection carries questions", func() bool {
		_, _, err = r.images.Path(r.ctx, "missing")
		return errs.Is(err, errs.NotFound)
	})
	broken.Store(true)
	_, _, err = r.images.Path(r.ctx, "cirros")
	if err == nil {
		t.Error("half an image was taken for a whole one")
	}
	broken.Store(false)
	fetched.Store(0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			path, format, err := r.images.Path(r.ctx, "cirros")
			if err != nil || format != "qcow2" {
				t.Errorf("got %q, %v", format, err)
				return
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("the cached image has %d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if fetched.Load() != 1 {
		t.Errorf("the image was fetched %d times, want once", fetched.Load())
	}
	ahead := func(image string) (reply nodeapi.CacheReply) {
		r.until("image "+image+" is here or cannot come", func() bool {
			raw, err := r.hosts.Ask(r.ctx, "h", nodeapi.QueryCache, nodeapi.ImageQuery{Image: image})
			if err == nil {
				err = json.Unmarshal(raw, &reply)
			}
			if err != nil {
				t.Error(err)
			}
			return err != nil || reply.Here || reply.Problem != ""
		})
		return reply
	}
	if got := ahead("debian"); !got.Here || fetched.Load() != 2 {
		t.Errorf("an image that nobody needs yet: %+v, fetched %d times with the other, want it here, fetched once", got, fetched.Load())
	}
	for range 2 { // told each time, since each time it is tried
		if got := ahead("missing"); got.Here || !strings.Contains(got.Problem, "No image found") {
			t.Errorf("an image that is not there: %+v", got)
		}
	}
	_, _, err = r.images.Path(r.ctx, "debian")
	if err != nil || fetched.Load() != 2 {
		t.Errorf("the image was fetched again when it was needed: %v", err)
	}
	err = os.Remove(filepath.Join(dir, "debian.qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	about.SHA512 = strings.Repeat("0", 128)
	_, _, err = r.images.Path(r.ctx, "forged")
	if err == nil {
		t.Error("bytes with another checksum were accepted")
	}
	_, _, err = r.images.Path(r.ctx, "../etc/passwd")
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("a path as an id: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the cache holds %v, %v; want the one image", entries, err)
	}
}

// Disks can be made of some formats alone; the others leave nothing here.
func TestImagesOfAllFormats(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(t.TempDir(), "image")
	err := os.WriteFile(source, []byte("bytes"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	images, err := node.NewImages(node.ImagesOptions{
		Dir: dir, Local: func(_ context.Context, image string) (string, string, error) { return source, image, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"raw", "qcow2", "iso", "vmdk", "vhd"} {
		path, got, err := images.Path(t.Context(), format)
		_, statErr := os.Stat(filepath.Join(dir, format+"."+format))
		switch used := strings.Contains("raw, qcow2, iso", format); {
		case used && (err != nil || statErr != nil || got != format || path != filepath.Join(dir, format+"."+format)):
			t.Errorf("%s: got %q, %q, %v, %v", format, path, got, err, statErr)
		case !used && (!errs.Is(err, errs.BadRequest) || !strings.Contains(err.Error(), "must be raw, qcow2, iso") || statErr == nil):
			t.Errorf("%s: got %v, want it refused with what may be used", format, err)
		}
	}
}

func TestImagesAge(t *testing.T) {
	r := start(t)
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	source := filepath.Join(r.dir, "source")
	err := os.WriteFile(source, make([]byte, 1000), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	images, err := node.NewImages(node.ImagesOptions{
		Dir: filepath.Join(r.dir, "images"), MaxBytes: 2500, Clock: now,
		Local: func(context.Context, string) (string, string, error) { return source, "raw", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		_, _, err = images.Path(r.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		now.Advance(2 * time.Hour)
	}
	_, _, err = images.Path(r.ctx, "b") // used again just now
	if err != nil {
		t.Fatal(err)
	}
	images.Age(map[string]bool{"a": true})
	entries, err := os.ReadDir(filepath.Join(r.dir, "images"))
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got := strings.Join(left, " "); got != "a.raw b.raw e.raw" {
		t.Errorf("after ageing the cache holds %s, want a.raw (in use), b.raw and e.raw (used last)", got)
	}
	now.Advance(23 * time.Hour)
	images.Age(map[string]bool{"a": true})
	_, err = os.Stat(filepath.Join(r.dir, "images", "e.raw"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was unused for more than a day is still there: %v", err)
	}
	for _, name := range []string{"a.raw", "b.raw"} {
		_, err = os.Stat(filepath.Join(r.dir, "images", name))
		if err != nil {
			t.Errorf("%s is gone, which is in use or was so within a day: %v", name, err)
		}
	}
}

func TestImagesAreForGuestsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	group := os.Getgid()
	if group == 0 {
		group = 65534
	}
	_, err := node.NewImages(node.ImagesOptions{Dir: dir, Group: group})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o710 {
		t.Errorf("the folder has mode %o, want 710", got)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Gid); got != group {
		t.Errorf("the folder is of group %d, want %d", got, group)
	}
}
