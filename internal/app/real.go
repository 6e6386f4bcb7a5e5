//go:build linux

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nacre/internal/blob/files"
	"nacre/internal/blockdev/file"
	"nacre/internal/fabric/ovn"
	"nacre/internal/guest"
	"nacre/internal/image"
	"nacre/internal/loop"
	"nacre/internal/node"
	"nacre/internal/qemuimg"
	"nacre/internal/virt/qemu"
)

// daemonLook is how often we look for daemons of the network that have died.
const daemonLook = 10 * time.Second

// realGround makes this machine the cloud's host: OVN and Open vSwitch, QEMU,
// and volumes served by NBD. All of it outlives this process.
func (cloud *Cloud) realGround(ctx context.Context, images *image.Service, blobs *files.Store) (ground, error) {
	c := cloud.Config
	g := ground{}
	err := requirements()
	if err != nil {
		return g, err
	}
	account, err := guestAccount(ctx, c.GuestUser)
	if err != nil {
		return g, err
	}
	name, err := os.Hostname()
	if err != nil {
		return g, fmt.Errorf("find the name of this host: %w", err)
	}
	own, err := firstAddress(c.External)
	if err != nil {
		return g, err
	}
	wires, err := physicalNetworks(c.PhysicalNetworks)
	if err != nil {
		return g, err
	}
	c.Log.Info("starting the network", "external", own)
	system, err := ovn.Start(ctx, ovn.Options{
		Dir: ovnDir(c), Chassis: name, TapOwner: account.UID, Log: c.Log,
		Bridges: append(wires.bridges(), ovn.Bridge{Name: "br-ex", Physical: externalPhysical, CIDR: own, Masquerade: true}),
	})
	if err != nil {
		return g, fmt.Errorf("start the network: %w", err)
	}
	cloud.closers = append(cloud.closers, system.Close)
	g.fabric, g.dns = system.Cluster, nameServers()
	cloud.Loops.Add(loop.Loop{Name: "app.network-daemons", Every: daemonLook, Once: system.Repair, Everywhere: true})

	cache, err := node.NewImages(node.ImagesOptions{
		Dir: filepath.Join(c.DataDir, "images"), Group: account.GID, Clock: c.Clock, Log: c.Log,
		MaxAge: time.Duration(c.UnusedImageAge) * time.Second,
		Local: func(ctx context.Context, id string) (path, format string, err error) {
			found, err := images.Image(ctx, image.Viewer{Admin: true}, id)
			if err == nil {
				err = found.Usable()
			}
			if err != nil {
				return "", "", err
			}
			path, err = images.Path(found)
			return path, found.Content.V.Format, err
		},
	})
	if err != nil {
		return g, err
	}
	machines, err := openMachines(c, cache)
	if err != nil {
		return g, err
	}
	cloud.closers = append(cloud.closers, machines.Close)
	keys := &node.Keys{}
	disks, err := openDisks(c, cache, keys, account)
	if err != nil {
		return g, err
	}
	return g, cloud.addNode(&g, name, c.DataDir, drivers{machines: machines, network: system.Host, disks: disks, images: cache, keys: keys})
}

// realImage builds the first image, a small Debian that boots.
func (cloud *Cloud) realImage(ctx context.Context) (io.ReadCloser, error) {
	path, err := guest.Build(ctx, guest.Options{Dir: cloud.Config.GuestDir, Progress: func(line string) {
		cloud.Config.Log.Info("building the first image", "step", line)
	}})
	if err != nil {
		return nil, fmt.Errorf("build the first image: %w", err)
	}
	return os.Open(path)
}

func ovnDir(c Config) string { return filepath.Join(c.DataDir, "ovn") }

func openMachines(c Config, cache *node.Images) (*qemu.Host, error) {
	h, err := qemu.New(qemu.Options{Dir: filepath.Join(c.DataDir, "run"), Images: cache, User: c.GuestUser, Log: c.Log})
	if err != nil {
		return nil, fmt.Errorf("open the hypervisor: %w", err)
	}
	return h, nil
}

func openDisks(c Config, cache *node.Images, keys *node.Keys, account file.User) (*file.Host, error) {
	h, err := file.New(file.Options{Dir: c.DataDir, Run: filepath.Join(c.DataDir, "nbd"), Images: cache, Keys: keys, User: &account, Log: c.Log})
	if err != nil {
		return nil, fmt.Errorf("open the volumes: %w", err)
	}
	return h, nil
}

// newConverter converts images with qemu-img.
func newConverter() (converter, error) {
	_, err := exec.LookPath("qemu-img")
	if err != nil {
		return converter{}, errors.New("qemu-img is missing: apt-get install qemu-utils")
	}
	return converter{qemuimg.New(2)}, nil
}

// requirements says which programs are missing, before anything is begun.
func requirements() error {
	if os.Geteuid() != 0 {
		return errors.New("a real node needs root: run it as root, or try nacre dev")
	}
	missing := append(ovn.Missing(), guest.Missing()...)
	for program, debian := range map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "qemu-storage-daemon": "qemu-system-common",
	} {
		_, err := exec.LookPath(program)
		if err != nil {
			missing = append(missing, debian)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("packages are missing: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// guestAccount finds the account that guests run as, and makes it when it is
// missing: it owns nothing and nobody can sign in to it.
func guestAccount(ctx context.Context, name string) (file.User, error) {
	found, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		out, runErr := exec.CommandContext(ctx, "useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
			"--shell", "/usr/sbin/nologin", name).CombinedOutput()
		if runErr != nil {
			return file.User{}, fmt.Errorf("make the account %s: %w: %s", name, runErr, out)
		}
		found, err = user.Lookup(name)
	}
	if err != nil {
		return file.User{}, fmt.Errorf("find the account %s: %w", name, err)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return file.User{}, err
	}
	gid, err := strconv.Atoi(found.Gid)
	return file.User{UID: uid, GID: gid}, err
}

// nameServers are those of this machine that guests can reach too.
func nameServers() []string {
	content, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var out []string
	for _, line := range strings.Split(string(content), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		ip, err := netip.ParseAddr(words[1])
		if err == nil && ip.Is4() && !ip.IsLoopback() {
			out = append(out, words[1])
		}
	}
	return out
}

// firstAddress is the first address of a range with its prefix length.
func firstAddress(external string) (string, error) {
	prefix, err := netip.ParsePrefix(external)
	if err != nil {
		return "", fmt.Errorf("setting external: %w", err)
	}
	return netip.PrefixFrom(prefix.Masked().Addr().Next(), prefix.Bits()).String(), nil
}

// raze ends guests, exports and the network of a data folder whose cloud has
// stopped.
func raze(ctx context.Context, c Config, out io.Writer) error {
	account, err := user.Lookup(c.GuestUser)
	if err == nil && account != nil {
		err = razeGuests(ctx, c, out)
		if err != nil {
			return err
		}
	}
	err = ovn.Stop(ctx, ovnDir(c))
	if err != nil {
		return fmt.Errorf("end the network: %w", err)
	}
	fmt.Fprintln(out, "ended the network")
	return nil
}

func razeGuests(ctx context.Context, c Config, out io.Writer) error {
	machines, err := openMachines(c, nil)
	if err != nil {
		return err
	}
	defer machines.Close()
	guests, err := machines.List(ctx)
	if err != nil {
		return fmt.Errorf("list guests: %w", err)
	}
	for _, g := range guests {
		err = machines.Remove(ctx, g.ID)
		if err != nil {
			return fmt.Errorf("end guest %s: %w", g.ID, err)
		}
	}
	disks, err := openDisks(c, nil, nil, file.User{})
	if err != nil {
		return err
	}
	volumes, err := disks.List(ctx)
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes {
		err = disks.Unexport(ctx, v.ID)
		if err != nil {
			return fmt.Errorf("end the export of volume %s: %w", v.ID, err)
		}
	}
	fmt.Fprintf(out, "ended %d guests and the exports of %d volumes\n", len(guests), len(volumes))
	return nil
}

// bridges take the cards in.
func (list wires) bridges() []ovn.Bridge {
	var out []ovn.Bridge
	for _, w := range list {
		out = append(out, ovn.Bridge{Name: "br-" + w.name, Physical: w.name, Device: w.card})
	}
	return out
}
