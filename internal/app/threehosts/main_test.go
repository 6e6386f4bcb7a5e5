package threehosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nacre/internal/app"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/guest"
)

// part is what this test binary is when it is not the tests.
type part struct {
	Server *app.Config     `json:",omitempty"`
	Node   *app.NodeConfig `json:",omitempty"`
	Down   string          `json:",omitempty"` // ends all that a node of this folder has started
	Host   bool            `json:",omitempty"` // keeps the namespaces of a host until its input ends
}

const partVariable = "NACRE_TEST_PART"

func (p part) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch {
	case p.Server != nil:
		return app.Run(ctx, *p.Server)
	case p.Node != nil:
		return app.RunNode(ctx, *p.Node)
	case p.Host:
		return keepHost()
	}
	return app.Down(ctx, app.Config{Real: true, DataDir: p.Down}, app.DownOptions{All: true, Yes: true, Out: io.Discard})
}

// keepHost makes the namespaces of this process fit for a host. Named network
// namespaces are files: those of one host must not meet another's.
func keepHost() error {
	const names = "/run/netns"
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		os.MkdirAll(names, 0o755),
		unix.Mount("tmpfs", names, "tmpfs", 0, ""),
	)
	if err != nil {
		return fmt.Errorf("give the host names of its own: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(loopback)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestMain lets this binary be the tests outside, which build the guest image
// while there is a network; the tests inside namespaces of their own; and the
// processes that these start and kill.
func TestMain(m *testing.M) {
	text := os.Getenv(partVariable)
	if text != "" {
		var p part
		err := json.Unmarshal([]byte(text), &p)
		if err == nil {
			err = p.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "ended:", err)
			os.Exit(1)
		}
		return
	}
	_, err := buildGuest()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the guest image cannot be built:", err)
		os.Exit(1)
	}
	fabrictest.Main(m)
}

// buildGuest builds the image of guests, unless it is there.
func buildGuest() (path string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return guest.Build(context.Background(), guest.Options{Dir: filepath.Join(cache, "nacre")})
}
