package guest

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The disk's layout in sectors of 512 bytes: the boot partition (FAT) from 1
// MiB, then the root, last so that it can grow.
const (
	sector    = 512
	bootStart = 2048
	bootSize  = 24 << 20 / sector
	rootStart = bootStart + bootSize
	rootSize  = 80 << 20 / sector
)

type builder struct {
	work     string // scratch folder
	cache    string // survives
	progress func(string)
	choice   choice
}

// build makes the image and returns its path in the scratch folder.
func (b *builder) build(ctx context.Context) (string, error) {
	kernel, err := b.kernel(ctx)
	if err != nil {
		return "", fmt.Errorf("kernel: %w", err)
	}
	b.progress("filling the root filesystem")
	root, err := b.rootfs(ctx, kernel)
	if err != nil {
		return "", fmt.Errorf("root filesystem: %w", err)
	}
	ramdisk, err := b.ramdisk(kernel)
	if err != nil {
		return "", fmt.Errorf("ramdisk: %w", err)
	}
	b.progress("writing the disk")
	partition, err := b.rootPartition(ctx, root)
	if err != nil {
		return "", fmt.Errorf("root partition: %w", err)
	}
	disk := filepath.Join(b.work, "disk.raw")
	err = writeDisk(disk, partition)
	if err != nil {
		return "", fmt.Errorf("disk: %w", err)
	}
	err = b.bootPartition(ctx, disk, kernel, ramdisk)
	if err != nil {
		return "", fmt.Errorf("boot partition: %w", err)
	}
	b.progress("compressing the image")
	image := filepath.Join(b.work, "disk.qcow2")
	_, err = b.run(ctx, "", "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, image)
	return image, err
}

// ramdisk makes the initial ramdisk: busybox, the disk drivers and one script.
func (b *builder) ramdisk(kernel string) (string, error) {
	dir := filepath.Join(b.work, "ramdisk")
	for _, d := range []string{"bin", "dev", "proc", "sys", "root"} {
		err := os.MkdirAll(filepath.Join(dir, d), 0o755)
		if err != nil {
			return "", err
		}
	}
	err := copyProgram(dir, "/bin/busybox", "/bin/busybox")
	if err != nil {
		return "", err
	}
	for _, name := range strings.Fields("sh mount insmod switch_root sleep cat dd sync blockdev blkid poweroff printf [ echo") {
		err = os.Symlink("busybox", filepath.Join(dir, "bin", name))
		if err != nil {
			return "", err
		}
	}
	err = copyModules(kernel, filepath.Join(dir, "lib/modules"), b.choice.disks)
	if err != nil {
		return "", err
	}
	err = place(dir, placed{"init-ramdisk", "/init", 0o755})
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.work, "initrd")
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer out.Close()
	zip := gzip.NewWriter(out)
	err = writeArchive(zip, dir)
	if err != nil {
		return "", err
	}
	err = zip.Close()
	if err != nil {
		return "", err
	}
	return path, out.Close()
}

// writeArchive writes a folder as a cpio archive in the "newc" format, with
// root as the owner of everything.
func writeArchive(w io.Writer, dir string) error {
	paths, err := tree(dir)
	if err != nil {
		return err
	}
	for i, path := range paths {
		info, err := os.Lstat(dir + path)
		if err != nil {
			return err
		}
		var data []byte
		mode := uint32(info.Mode().Perm())
		switch {
		case info.IsDir():
			mode |= 0o040000
		case info.Mode()&os.ModeSymlink != 0:
			mode |= 0o120000
			target, err := os.Readlink(dir + path)
			if err != nil {
				return err
			}
			data = []byte(target)
		default:
			mode |= 0o100000
			data, err = os.ReadFile(dir + path)
			if err != nil {
				return err
			}
		}
		err = writeMember(w, i+1, path[1:], mode, data)
		if err != nil {
			return err
		}
	}
	return writeMember(w, 0, "TRAILER!!!", 0, nil)
}

func writeMember(w io.Writer, inode int, name string, mode uint32, data []byte) error {
	head := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	for len(head)%4 != 0 {
		head += "\x00"
	}
	_, err := io.WriteString(w, head)
	if err != nil {
		return err
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	_, err = w.Write(data)
	return err
}

// rootPartition makes the ext4 filesystem from the folder. Owners and special
// modes are set inside it, so the build can run as anybody.
func (b *builder) rootPartition(ctx context.Context, root string) (string, error) {
	path := filepath.Join(b.work, "root.img")
	_, err := b.run(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "nacre-root",
		"-O", "^metadata_csum,^64bit", "-E", "resize=1000G,root_owner=0:0,hash_seed=00000000-0000-4000-8000-000000000000",
		"-d", root, path, fmt.Sprintf("%dk", rootSize*sector/1024))
	if err != nil {
		return "", err
	}
	paths, err := tree(root)
	if err != nil {
		return "", err
	}
	var script strings.Builder
	for _, p := range paths {
		o, special := owners[p]
		fmt.Fprintf(&script, "sif %q uid %d\nsif %q gid %d\n", p, o.uid, p, o.gid)
		if special {
			fmt.Fprintf(&script, "sif %q mode 0%o\n", p, o.mode)
		}
	}
	out, err := b.runInput(ctx, "", script.String(), "debugfs", "-w", path)
	if err != nil {
		return "", err
	}
	if strings.Contains(out, "File not found") {
		return "", errors.New("debugfs did not find a file that mke2fs has put there")
	}
	return path, nil
}

// writeDisk makes the raw disk: partition table, and the root in its place.
func writeDisk(path, rootPartition string) error {
	disk, err := os.Create(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	err = disk.Truncate((rootStart + rootSize) * sector)
	if err != nil {
		return err
	}
	code, err := os.ReadFile("/usr/lib/syslinux/mbr/mbr.bin")
	if err != nil {
		return err
	}
	_, err = disk.WriteAt(masterBootRecord(code), 0)
	if err != nil {
		return err
	}
	root, err := os.Open(rootPartition)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = io.Copy(io.NewOffsetWriter(disk, rootStart*sector), root)
	if err != nil {
		return err
	}
	return disk.Close()
}

func masterBootRecord(code []byte) []byte {
	mbr := make([]byte, sector)
	copy(mbr[:440], code)
	copy(mbr[440:444], "NACR") // disk signature
	entry := func(n int, active, kind byte, start, size uint32) {
		e := mbr[446+16*n:]
		e[0], e[4] = active, kind
		copy(e[1:4], "\xfe\xff\xff") // no cylinders and heads: read by LBA
		copy(e[5:8], "\xfe\xff\xff")
		binary.LittleEndian.PutUint32(e[8:], start)
		binary.LittleEndian.PutUint32(e[12:], size)
	}
	entry(0, 0x80, 0x0e, bootStart, bootSize)
	entry(1, 0, 0x83, rootStart, rootSize)
	mbr[510], mbr[511] = 0x55, 0xaa
	return mbr
}

// bootPartition puts kernel, ramdisk and boot loader into the FAT partition.
func (b *builder) bootPartition(ctx context.Context, disk, kernel, ramdisk string) error {
	at := fmt.Sprintf("%s@@%d", disk, bootStart*sector)
	_, err := b.run(ctx, "", "mformat", "-i", at, "-T", fmt.Sprint(bootSize), "-h", "16", "-s", "63", "-H", fmt.Sprint(bootStart), "-v", "NACREBOOT", "::")
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(kernel, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the kernel package has %d kernels", len(found))
	}
	config := filepath.Join(b.work, "syslinux.cfg")
	data, err := files.ReadFile("files/syslinux.cfg")
	if err != nil {
		return err
	}
	err = os.WriteFile(config, data, 0o644)
	if err != nil {
		return err
	}
	for _, c := range []struct{ from, to string }{{found[0], "::/vmlinuz"}, {ramdisk, "::/initrd"}, {config, "::/syslinux.cfg"}} {
		_, err = b.run(ctx, "", "mcopy", "-i", at, c.from, c.to)
		if err != nil {
			return err
		}
	}
	_, err = b.run(ctx, "", "syslinux", "--install", "--offset", fmt.Sprint(bootStart*sector), disk)
	return err
}
