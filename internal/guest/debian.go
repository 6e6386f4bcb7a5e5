package guest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// choice is a kernel, and what is loaded of it. Names of modules are those of the
// files, dashes as underscores; one that the kernel has built in is left out.
type choice struct {
	meta  string   // package whose newest dependency is the kernel
	disks []string // what the ramdisk needs to find the root
	rest  []string // what the guest loads besides
}

// lean knows what machines of clouds usually have, withDrivers what they may have.
var (
	lean = choice{
		meta:  "linux-image-cloud-amd64",
		disks: []string{"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"},
		rest: []string{
			"virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "button", "evdev",
			"sr_mod", "isofs", "vfat", "nls_cp437", "nls_iso8859_1", "nls_ascii", "8021q",
		},
	}
	withDrivers = choice{
		meta: "linux-image-amd64",
		disks: slices.Concat(lean.disks, []string{
			"ahci", "ata_piix", "sym53c8xx", "mptsas", "megaraid_sas", "vmw_pvscsi", "xhci_pci", "usb_storage", "crc32c_generic", "ext4",
		}),
		rest: slices.Concat(lean.rest, []string{"af_packet", "e1000", "e1000e", "8139cp", "ne2k_pci", "pcnet32", "vmxnet3"}),
	}
)

// needs lists what the build takes from the host, and the Debian package that
// has it. The first group runs here, the second runs in the guest.
var needs = []struct{ path, pkg string }{
	{"/usr/bin/apt-get", "apt"},
	{"/usr/bin/dpkg-deb", "dpkg"},
	{"/usr/sbin/mke2fs", "e2fsprogs"},
	{"/usr/sbin/debugfs", "e2fsprogs"},
	{"/usr/bin/mformat", "mtools"},
	{"/usr/bin/mcopy", "mtools"},
	{"/usr/bin/syslinux", "syslinux"},
	{"/usr/lib/syslinux/mbr/mbr.bin", "syslinux-common"},
	{"/usr/bin/qemu-img", "qemu-utils"},

	{"/bin/busybox", "busybox"},
	{"/usr/sbin/dropbear", "dropbear-bin"},
	{"/usr/bin/dropbearkey", "dropbear-bin"},
	{"/usr/sbin/resize2fs", "e2fsprogs"},
	{"/usr/bin/setpriv", "util-linux"},
	{"/usr/sbin/blkid", "util-linux"},
	{"/usr/bin/lsblk", "util-linux"},
}

// Missing lists the Debian packages that Build needs and this machine lacks.
func Missing() []string {
	missing := map[string]bool{}
	for _, n := range needs {
		_, err := os.Stat(n.path)
		if err != nil {
			missing[n.pkg] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

func checkHost() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("guest image: only amd64 hosts can build it, this one is %s", runtime.GOARCH)
	}
	missing := Missing()
	if len(missing) > 0 {
		return fmt.Errorf("guest image: install the Debian packages %s", strings.Join(missing, " "))
	}
	return nil
}

var kernelName = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-[0-9][a-z0-9.+-]*-amd64)$`)

// kernel downloads and unpacks the kernel package, and returns the folder with
// boot and lib in it.
func (b *builder) kernel(ctx context.Context) (string, error) {
	out, err := b.run(ctx, "", "apt-cache", "depends", b.choice.meta)
	if err != nil {
		return "", err
	}
	found := kernelName.FindStringSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("package %s is not known here: run apt-get update", b.choice.meta)
	}
	cache := filepath.Join(b.cache, "packages")
	err = os.MkdirAll(cache, 0o755)
	if err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(cache, found[1]+"_*.deb"))
	if err != nil {
		return "", err
	}
	if len(debs) == 0 {
		b.progress("downloading " + found[1])
		// apt-get writes into its working folder; only a whole file is moved
		// to where the next build looks.
		fresh := filepath.Join(b.work, "download")
		err = os.Mkdir(fresh, 0o755)
		if err != nil {
			return "", err
		}
		_, err = b.run(ctx, fresh, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", found[1])
		if err != nil {
			return "", err
		}
		debs, err = filepath.Glob(filepath.Join(fresh, "*.deb"))
		if err != nil || len(debs) != 1 {
			return "", fmt.Errorf("apt-get download %s left %d packages", found[1], len(debs))
		}
		kept := filepath.Join(cache, filepath.Base(debs[0]))
		err = os.Rename(debs[0], kept)
		if err != nil {
			return "", err
		}
		debs[0] = kept
	}
	b.progress("unpacking the kernel")
	dir := filepath.Join(b.work, "kernel")
	_, err = b.run(ctx, "", "dpkg-deb", "-x", debs[len(debs)-1], dir)
	return dir, err
}

// run executes a program by argument list and returns its output. What it
// printed is part of the error.
func (b *builder) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	return b.runInput(ctx, dir, "", name, args...)
}

func (b *builder) runInput(ctx context.Context, dir, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
