package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/qemuimg"
)

// An encrypted volume is LUKS inside of its qcow2, made and opened by QEMU. The
// key reaches QEMU's programs as an open file in memory. Its header says that a
// volume is encrypted, so nobody has to remember.

// key is the key of an encrypted volume, "" for others.
func (h *Host) key(ctx context.Context, v blockdev.Volume) (string, error) {
	if !v.Encrypted {
		return "", nil
	}
	if h.options.Keys == nil {
		return "", errs.BadRequestf("Volume %s is to be encrypted, and this host has no keys.", v.ID)
	}
	return h.options.Keys.Key(ctx, v.ID)
}

// isEncrypted reads from its header whether a qcow2 is encrypted.
func isEncrypted(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var method [4]byte
	_, err = f.ReadAt(method[:], 32)
	if err != nil {
		return false, fmt.Errorf("read header of %s: %w", path, err)
	}
	return method != [4]byte{}, nil
}

// luks are the options of an encrypted qcow2. The key is as good as random, so
// there is nothing to gain from making it slow to try.
const luks = "encrypt.format=luks,encrypt.key-secret=" + qemuimg.Secret + ",encrypt.cipher-alg=aes-256,encrypt.cipher-mode=xts," +
	"encrypt.ivgen-alg=plain64,encrypt.iter-time=10"

// encrypted names an encrypted volume to qemu-img. Paths of ours have no commas.
func encrypted(path string) string {
	return "driver=qcow2,encrypt.key-secret=" + qemuimg.Secret + ",file.driver=file,file.filename=" + path
}

// fillEncrypted makes the bytes of an encrypted volume. A volume that is its
// source has the same key, so its file is copied as it is.
func (h *Host) fillEncrypted(ctx context.Context, v blockdev.Volume, source string, live int64, path, key string) error {
	want := int64(v.SizeGB) * gib
	if v.Source.Volume != "" {
		same, err := isEncrypted(h.disk(v.Source.Volume))
		if err != nil {
			return err
		}
		if !same {
			return errs.BadRequestf("Volume %s is not encrypted, and what is made from it is to be.", v.Source.Volume)
		}
		if live == 0 {
			return copyFile(ctx, h.disk(v.Source.Volume), path)
		}
		err = h.make(ctx, want, key, "create", "-q", "-f", "qcow2", "-o", luks, path, strconv.FormatInt(live, 10))
		if err == nil {
			err = h.copyLive(ctx, v.Source.Volume, path)
		}
		return err
	}
	if source != "" {
		return h.make(ctx, want, key, "convert", "-q", "-O", "qcow2", "-o", luks, source, path)
	}
	return h.make(ctx, want, key, "create", "-q", "-f", "qcow2", "-o", luks, path, strconv.FormatInt(want, 10))
}

// make runs qemu-img for a new encrypted disk. QEMU measures how fast it derives
// keys, and gives up when the kernel counts processor time too coarsely for what
// it has measured: so it is asked again.
func (h *Host) make(ctx context.Context, disk int64, key, command string, args ...string) (err error) {
	const tries = 10
	for range tries {
		err = h.tool.RunWith(ctx, disk, key, command, args...)
		if err == nil || !strings.Contains(err.Error(), "Unable to get accurate CPU usage") {
			break
		}
	}
	return err
}

// copyFile copies a volume that no daemon has.
func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	const part = 64 << 20
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(out, in, part)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, ctx.Err(), out.Close())
}
