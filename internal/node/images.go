package node

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// ImagesOptions are the settings of an image cache.
type ImagesOptions struct {
	Dir string

	// Local gives the file of an image on this very machine, which is linked
	// or copied, never used in place: the image service may delete it. nil:
	// fetch the bytes from the server.
	Local func(ctx context.Context, image string) (path, format string, err error)

	// Group is whose members may read images besides us: the guests' processes. 0:
	// everybody on this machine.
	Group int

	MaxBytes int64         // what unused images may take; 0: 20 GiB
	MaxAge   time.Duration // for how long an image stays that nothing uses; 0: a day, < 0: for ever
	Clock    clock.Clock
	Log      *slog.Logger
}

// Images keeps images that machines and volumes start from. It implements
// virt.Images and blockdev.Images. Make it first, give it to the drivers, then
// to the node, through whose connection it fetches.
type Images struct {
	o          ImagesOptions
	connection func() *nodeapi.Conn

	mu    sync.Mutex               // guards the following
	busy  map[string]chan struct{} // images being fetched
	ahead map[string]*attempt      // those that nobody waits for
}

// attempt is one to fetch an image.
type attempt struct{ err error }

// formats are the ones a cached image can have; its file is named after it.
var formats = []string{"raw", "qcow2", "iso"}

// NewImages opens the cache in the folder.
func NewImages(o ImagesOptions) (*Images, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 20 << 30
	}
	if o.MaxAge == 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Images{o: o, busy: map[string]chan struct{}{}, ahead: map[string]*attempt{}, connection: func() *nodeapi.Conn { return nil }}
	err := makeCache(o.Dir, o.Group)
	if err != nil {
		return nil, fmt.Errorf("open image cache: %w", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open image cache: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), atomicfile.Unfinished) { // half fetched when we stopped
			err = os.Remove(filepath.Join(o.Dir, entry.Name()))
			if err != nil {
				return nil, fmt.Errorf("open image cache: %w", err)
			}
		}
	}
	return c, nil
}

// makeCache makes the folder, open to those who may read the images: private
// ones are not for everybody who has an account on the machine.
func makeCache(dir string, group int) error {
	err := os.MkdirAll(dir, 0o755)
	if err != nil || group == 0 {
		return err
	}
	err = os.Chown(dir, -1, group)
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o710)
}

// Path implements virt.Images and blockdev.Images. An image is fetched once,
// however many ask.
func (c *Images) Path(ctx context.Context, image string) (path, format string, err error) {
	if !validID.MatchString(image) {
		return "", "", errs.BadRequestf("%q is not an image id.", image)
	}
	for {
		c.mu.Lock()
		path, format = c.cached(image)
		if path != "" {
			c.mu.Unlock()
			return path, format, nil
		}
		busy := c.busy[image]
		if busy == nil {
			busy = make(chan struct{})
			c.busy[image] = busy
			c.mu.Unlock()
			path, format, err = c.fetch(ctx, image)
			c.mu.Lock()
			delete(c.busy, image)
			c.mu.Unlock()
			close(busy)
			if err != nil {
				return "", "", fmt.Errorf("fetch image %s: %w", image, err)
			}
			return path, format, nil
		}
		c.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	}
}

// Ahead begins to fetch an image that nobody needs yet, and tells whether it is
// here. What kept it from coming is told once; the next question tries again. The
// fetching belongs to whoever runs it.
func (c *Images) Ahead(ctx context.Context, image string, run func(func())) (here bool, err error) {
	if !validID.MatchString(image) {
		return false, errs.BadRequestf("%q is not an image id.", image)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path, _ := c.cached(image)
	if path != "" {
		return true, nil
	}
	a := c.ahead[image]
	if a != nil {
		if a.err != nil {
			delete(c.ahead, image)
		}
		return false, a.err
	}
	a = &attempt{}
	c.ahead[image] = a
	run(func() {
		_, _, err := c.Path(ctx, image)
		c.mu.Lock()
		defer c.mu.Unlock()
		a.err = err
		if err == nil {
			delete(c.ahead, image)
		}
	})
	return false, nil
}

// cached finds the image's file and marks it as used now.
func (c *Images) cached(image string) (path, format string) {
	for _, format := range formats {
		path := filepath.Join(c.o.Dir, image+"."+format)
		now := c.o.Clock.Now()
		err := os.Chtimes(path, now, now)
		if err == nil {
			return path, format
		}
	}
	return "", ""
}

// fetch brings the bytes here, whole and flushed, before they get their name.
func (c *Images) fetch(ctx context.Context, image string) (path, format string, err error) {
	temp := filepath.Join(c.o.Dir, atomicfile.Unfinished+image)
	defer os.Remove(temp)
	if c.o.Local != nil {
		format, err = c.fetchLocal(ctx, image, temp)
	} else {
		format, err = c.fetchRemote(ctx, image, temp)
	}
	if err != nil {
		return "", "", err
	}
	if !slices.Contains(formats, format) {
		return "", "", errs.BadRequestf("Image %s has the format %s, which machines cannot use: it must be %s. Convert it (qemu-img convert), or have the cloud convert what is imported (setting image_conversion).",
			image, format, strings.Join(formats, ", "))
	}
	path = filepath.Join(c.o.Dir, image+"."+format)
	now := c.o.Clock.Now()
	err = os.Chtimes(temp, now, now)
	if err == nil {
		err = os.Chmod(temp, 0o444) // guests run as somebody else
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = atomicfile.Sync(c.o.Dir)
	}
	if err != nil {
		return "", "", err
	}
	return path, format, nil
}

func (c *Images) fetchLocal(ctx context.Context, image, temp string) (format string, err error) {
	path, format, err := c.o.Local(ctx, image)
	if err != nil {
		return "", err
	}
	// A copy, not a link: mode and times are the file's, and it is not ours.
	// The kernel shares the blocks where the file system can.
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return format, write(temp, in)
}

func (c *Images) fetchRemote(ctx context.Context, image, temp string) (format string, err error) {
	conn := c.connection()
	if conn == nil {
		return "", errors.New("no server is connected")
	}
	answer, err := conn.Ask(ctx, nodeapi.QueryImage, nodeapi.ImageQuery{Image: image})
	if err != nil {
		return "", kept(err)
	}
	var about nodeapi.ImageReply
	err = json.Unmarshal(answer, &about)
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	stream, err := conn.Open(ctx, nodeapi.StreamImage, image)
	if err != nil {
		return "", kept(err)
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Reset)
	defer stop()
	sum := sha512.New()
	bytes := &counter{}
	err = write(temp, io.TeeReader(io.LimitReader(stream, about.Size+1), io.MultiWriter(sum, bytes)))
	if err != nil {
		return "", err
	}
	if bytes.n != about.Size {
		return "", fmt.Errorf("got %d bytes of %d", bytes.n, about.Size)
	}
	if about.SHA512 != "" && about.SHA512 != hex.EncodeToString(sum.Sum(nil)) {
		return "", errors.New("the bytes do not match their checksum")
	}
	return about.Format, nil
}

// kept keeps the class of a refusal.
func kept(err error) error {
	var remote *nodeapi.RemoteError
	if errors.As(err, &remote) {
		return errs.New(errs.Kind(remote.Status), "%s", remote.Message).Because(err)
	}
	return err
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// write writes a file and flushes it.
func write(name string, from io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// fresh images are never aged: somebody may be about to use them.
const fresh = time.Hour

// Age removes images that nothing uses, the longest unused first: those that
// nothing has used for long, and then more until the rest fits.
func (c *Images) Age(used map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		c.o.Log.Warn("list image cache", "error", err)
		return
	}
	type file struct {
		name string
		size int64
		at   time.Time
	}
	var files []file
	total := int64(0)
	for _, entry := range entries {
		image, _, _ := strings.Cut(entry.Name(), ".")
		info, err := entry.Info()
		if err != nil || used[image] || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		files = append(files, file{entry.Name(), info.Size(), info.ModTime()})
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b file) int { return a.at.Compare(b.at) })
	for _, f := range files {
		unused := c.o.Clock.Now().Sub(f.at)
		old := c.o.MaxAge > 0 && unused >= c.o.MaxAge
		if !old && (total <= c.o.MaxBytes || unused < fresh) {
			return
		}
		err = os.Remove(filepath.Join(c.o.Dir, f.name))
		if err != nil {
			c.o.Log.Warn("remove unused image", "file", f.name, "error", err)
			continue
		}
		total -= f.size
	}
}
