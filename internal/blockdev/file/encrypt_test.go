package file

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/nbd"
)

// ring has one key for all volumes.
type ring string

func (r ring) Key(context.Context, string) (string, error) { return string(r), nil }

const plaintext = "this must not be on the disk as it is"

// onDisk tells whether a volume's file has the text, and its daemon the key among
// what everybody may read of a process.
func onDisk(t *testing.T, host *Host, id string) bool {
	t.Helper()
	content, err := os.ReadFile(host.disk(id))
	must(t, err)
	return bytes.Contains(content, []byte(plaintext))
}

func use(t *testing.T, host *Host, id string, do func(c *nbd.Client)) {
	t.Helper()
	conn, err := host.Open(ctx, id, true)
	must(t, err)
	c, err := nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	do(c)
	must(t, c.Flush())
	must(t, c.Close())
}

func wantText(t *testing.T, host *Host, id string) {
	t.Helper()
	use(t, host, id, func(c *nbd.Client) {
		got := make([]byte, len(plaintext))
		_, err := c.ReadAt(got, 3<<20)
		must(t, err)
		if string(got) != plaintext {
			t.Errorf("volume %s has %q, want what was written", id, got)
		}
	})
	if onDisk(t, host, id) {
		t.Errorf("volume %s lies on the disk unencrypted", id)
	}
}

func TestEncrypted(t *testing.T) {
	key := strings.Repeat("0123456789abcdef", 4)
	dir, image := tempDir(t), testImage(t)
	host := open(t, dir, Options{Images: image, Keys: ring(key)})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1, Encrypted: true}))
	use(t, host, "a", func(c *nbd.Client) {
		_, err := c.WriteAt([]byte(plaintext), 3<<20)
		must(t, err)
	})
	wantText(t, host, "a")

	// Copies, at rest and of a volume in use, and growing, in either state.
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 2, Encrypted: true, Source: blockdev.Source{Volume: "a"}}))
	wantText(t, host, "b")
	export(t, host, "a", 1)
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "c", SizeGB: 2, Encrypted: true, Source: blockdev.Source{Volume: "a"}}))
	wantText(t, host, "c")
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2, Encrypted: true}))
	must(t, host.Unexport(ctx, "a"))
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 3, Encrypted: true}))
	wantText(t, host, "a")
	use(t, host, "a", func(c *nbd.Client) {
		if c.Size() != 3<<30 {
			t.Errorf("the volume has %d bytes, want 3 GiB", c.Size())
		}
	})

	// Of an image, whose bytes are on the disk only encrypted.
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "d", SizeGB: 1, Encrypted: true, Source: blockdev.Source{Image: "image"}}))
	use(t, host, "d", func(c *nbd.Client) {
		got := make([]byte, 1<<20)
		_, err := c.ReadAt(got, 0)
		must(t, err)
		if !bytes.Equal(got, bytes.Repeat([]byte{0x11}, 1<<20)) {
			t.Error("the volume does not have the image's bytes")
		}
	})
	content, err := os.ReadFile(host.disk("d"))
	must(t, err)
	if bytes.Contains(content, bytes.Repeat([]byte{0x11}, 4096)) {
		t.Error("the image's bytes lie on the disk unencrypted")
	}

	// Whoever has the disk and another key has nothing.
	other := open(t, dir, Options{Images: image, Keys: ring("another")})
	_, err = other.Open(ctx, "a", false)
	if err == nil {
		t.Error("the volume was opened with another key")
	}
	none := open(t, dir, Options{Images: image})
	_, err = none.Open(ctx, "a", false)
	if err == nil {
		t.Error("the volume was opened without a key")
	}
	err = none.Ensure(ctx, blockdev.Volume{ID: "e", SizeGB: 1, Encrypted: true})
	if err == nil {
		t.Error("an encrypted volume was made without a key")
	}
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "f", SizeGB: 1}))
	err = host.Ensure(ctx, blockdev.Volume{ID: "g", SizeGB: 1, Encrypted: true, Source: blockdev.Source{Volume: "f"}})
	if err == nil {
		t.Error("an encrypted volume was made of one that is not")
	}
}
