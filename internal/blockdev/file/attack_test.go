package file

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/blockdev"
)

// A guest makes its volume look like a qcow2 disk that consists of a file of the
// host. Nothing takes it for that: not an extension, not a copy or a snapshot, not
// what reads it for an image or a backup.
func TestAttackDisguisedVolume(t *testing.T) {
	dir := tempDir(t)
	const secret = "a file of the host"
	file := filepath.Join(dir, "secret")
	must(t, os.WriteFile(file, []byte(strings.Repeat(secret, 1<<12)), 0o644))
	disguise := filepath.Join(dir, "disguise")
	mustRun(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", file, disguise, "1G")
	header, err := os.ReadFile(disguise)
	must(t, err)
	deceived := filepath.Join(dir, "deceived")
	mustRun(t, "qemu-img", "convert", "-O", "raw", disguise, deceived)
	content, err := os.ReadFile(deceived)
	must(t, err)
	if !bytes.Contains(content, []byte(secret)) {
		t.Fatal("who guesses the format is not deceived: this test proves nothing")
	}
	must(t, os.Remove(deceived))

	host := open(t, filepath.Join(dir, "volumes"), Options{})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	mustRun(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", disguise, export(t, host, "a", 1))
	must(t, host.Unexport(ctx, "a"))
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}))
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 2, Source: blockdev.Source{Volume: "a"}}))
	for _, id := range []string{"a", "b"} {
		stream, err := host.Open(ctx, id, false)
		must(t, err)
		must(t, stream.Close())
		out := filepath.Join(dir, id+".read")
		mustRun(t, "qemu-img", "dd", "-f", "raw", "-O", "raw", "bs=64k", "count=16", "if="+export(t, host, id, 2), "of="+out)
		f, err := os.Open(out)
		must(t, err)
		got, err := io.ReadAll(f)
		f.Close()
		must(t, err)
		if !bytes.HasPrefix(got, header) || bytes.Contains(got, []byte(secret)) {
			t.Errorf("volume %s begins with %q, want what the guest has written", id, got[:min(len(got), 40)])
		}
		info := mustRun(t, "qemu-img", "info", "-U", "-f", "qcow2", filepath.Join(host.volumes, id+".qcow2"))
		if strings.Contains(info, file) {
			t.Errorf("the file of volume %s leads to the host's: %s", id, info)
		}
	}
}
