package guest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// placed is a file of the guest that comes from the folder files.
type placed struct {
	name string // in files
	path string // in the guest
	mode uint32
}

var placedFiles = []placed{
	{"rc", "/etc/rc", 0o755},
	{"instance-data", "/etc/instance-data", 0o755},
	{"inittab", "/etc/inittab", 0o644},
	{"passwd", "/etc/passwd", 0o644},
	{"group", "/etc/group", 0o644},
	{"shadow", "/etc/shadow", 0o600},
	{"profile", "/etc/profile", 0o644},
	{"issue", "/etc/issue", 0o644},
	{"power-button", "/etc/acpi/PWRF/00000080", 0o755},
	{"dhcp-script", "/usr/share/udhcpc/default.script", 0o755},
	{"sudo", "/usr/bin/sudo", 0o755},
	{"curl", "/usr/bin/curl", 0o755},
	{"ping", "/bin/ping", 0o755},
	{"ping", "/bin/ping6", 0o755},
	{"mkfs", "/sbin/mkfs", 0o755},
}

// programs are copied from the host, with their libraries. asRoot is what the
// script sudo runs: it gets the setuid bit inside the image only.
const asRoot = "/usr/lib/as-root"

var programs = []struct{ from, to string }{
	{"/bin/busybox", "/bin/busybox"},
	{"/usr/sbin/dropbear", "/usr/sbin/dropbear"},
	{"/usr/bin/dropbearkey", "/usr/bin/dropbearkey"},
	{"/usr/sbin/resize2fs", "/usr/sbin/resize2fs"},
	{"/usr/sbin/mke2fs", "/usr/sbin/mke2fs"},
	{"/usr/sbin/blkid", "/usr/sbin/blkid"},
	{"/usr/bin/lsblk", "/usr/bin/lsblk"},
	{"/usr/bin/setpriv", asRoot},
}

// links make the usual names.
var links = []struct{ to, path string }{
	{"mke2fs", "/usr/sbin/mkfs.ext2"},
	{"mke2fs", "/usr/sbin/mkfs.ext3"},
	{"mke2fs", "/usr/sbin/mkfs.ext4"},
	{"/bin/busybox", "/usr/sbin/mkfs.vfat"},
}

var folders = []string{
	"bin", "sbin", "usr/bin", "usr/sbin", "usr/lib", "lib/modules", "lib64", "etc/dropbear", "proc", "sys", "dev",
	"tmp", "run", "var/log", "var/run", "root", "home/cirros", "mnt", "boot",
}

// owners are the exceptions from "root owns everything": path to uid, gid and
// mode, applied inside the image.
var owners = map[string]struct{ uid, gid, mode uint32 }{
	asRoot:         {0, 27, 0o104750},
	"/home/cirros": {1000, 1000, 0o040755},
	"/root":        {0, 0, 0o040700},
	"/tmp":         {0, 0, 0o041777},
}

// rootfs fills a folder with the guest's root filesystem.
func (b *builder) rootfs(ctx context.Context, kernel string) (string, error) {
	root := filepath.Join(b.work, "root")
	for _, dir := range folders {
		err := os.MkdirAll(filepath.Join(root, dir), 0o755)
		if err != nil {
			return "", err
		}
	}
	for _, p := range programs {
		err := copyProgram(root, p.from, p.to)
		if err != nil {
			return "", err
		}
	}
	err := b.applets(ctx, root)
	if err != nil {
		return "", err
	}
	for _, l := range links {
		err := relink(l.to, filepath.Join(root, l.path))
		if err != nil {
			return "", err
		}
	}
	for _, p := range placedFiles {
		err := place(root, p)
		if err != nil {
			return "", err
		}
	}
	return root, copyModules(kernel, filepath.Join(root, "lib/modules"), slices.Concat(b.choice.disks, b.choice.rest))
}

// applets links every command that busybox has and no real program took.
func (b *builder) applets(ctx context.Context, root string) error {
	list, err := b.run(ctx, "", "/bin/busybox", "--list-full")
	if err != nil {
		return err
	}
	taken := map[string]bool{"busybox": true}
	for _, p := range programs {
		taken[filepath.Base(p.to)] = true
	}
	for _, applet := range append(strings.Fields(list), "sbin/getty", "bin/login") {
		if taken[filepath.Base(applet)] {
			continue
		}
		// A shell that ssh starts for one command looks in bin alone.
		for _, path := range []string{applet, "bin/" + filepath.Base(applet)} {
			err = relink("/bin/busybox", filepath.Join(root, path))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func relink(to, path string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(to, path)
}

func place(root string, p placed) error {
	data, err := files.ReadFile("files/" + p.name)
	if err != nil {
		return err
	}
	path := filepath.Join(root, p.path)
	err = os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		return err
	}
	err = os.Remove(path) // a link to a program of this host must not be written through
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, data, os.FileMode(p.mode))
}

func copyProgram(root, from, to string) error {
	err := copyFile(from, filepath.Join(root, to), 0o755)
	if err != nil {
		return err
	}
	libs, err := libraries(from)
	if err != nil {
		return err
	}
	for _, lib := range libs {
		err = copyFile(lib, filepath.Join(root, lib), 0o755)
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	err := os.MkdirAll(filepath.Dir(to), 0o755)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// copyModules puts the modules and what they need flat into a folder, with a
// file "order" that says in which order they load.
func copyModules(kernel, to string, names []string) error {
	paths := map[string]string{}
	err := filepath.WalkDir(filepath.Join(kernel, "lib/modules"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko") {
			paths[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	err = os.MkdirAll(to, 0o755)
	if err != nil {
		return err
	}
	var order []string
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		path, ok := paths[name]
		if done[name] || !ok { // not a module: built in
			return nil
		}
		done[name] = true
		depends, err := moduleDepends(path)
		if err != nil {
			return err
		}
		for _, d := range depends {
			err = add(d)
			if err != nil {
				return err
			}
		}
		order = append(order, filepath.Base(path))
		return copyFile(path, filepath.Join(to, filepath.Base(path)), 0o644)
	}
	for _, n := range names {
		err = add(n)
		if err != nil {
			return err
		}
	}
	if len(order) == 0 {
		return fmt.Errorf("the kernel package has none of the modules %v", names)
	}
	return os.WriteFile(filepath.Join(to, "order"), []byte(strings.Join(order, "\n")+"\n"), 0o644)
}

func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// tree lists every path below root, sorted, relative with a leading slash.
func tree(root string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != root {
			all = append(all, strings.TrimPrefix(path, root))
		}
		return err
	})
	sort.Strings(all)
	return all, err
}
