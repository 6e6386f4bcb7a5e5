package compute

import (
	"context"
	"io"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// ConsoleLog returns the last lines of a server's console, all when lines < 0.
func (s *Service) ConsoleLog(ctx context.Context, server Server, lines int) ([]byte, error) {
	if server.Host == "" {
		return nil, errs.Conflictf("Instance %s is not ready", server.ID)
	}
	return s.hosts.Log(ctx, server.Host, server.ID, lines)
}

// consoleKinds are the types of consoles that we have, by what users call them.
// What spice-direct gives is the address of a SPICE server on a host's network, and
// no host of ours opens such a port.
var consoleKinds = map[string]string{"novnc": nodeapi.StreamVNC, "serial": nodeapi.StreamSerial, "spice-html5": nodeapi.StreamSPICE}

// Console makes an address under which the server's console is reached: a page
// with the screen, or a WebSocket to the serial line or to the screen in SPICE, which
// guests with a screen for that have.
func (s *Service) Console(ctx context.Context, server Server, kind string) (string, error) {
	if server.Host == "" || server.VMState == Building {
		return "", errs.Conflictf("Instance %s is not ready", server.ID)
	}
	stream := consoleKinds[kind]
	if stream == "" || s.consoles == nil || stream == nodeapi.StreamSPICE && !server.hasSPICE() {
		return "", errs.BadRequestf("Unavailable console type %s.", kind)
	}
	url, _, err := s.consoles.New(ctx, stream, server.ID)
	return url, err
}

func (server Server) hasSPICE() bool {
	h := server.hardware()
	return h != nil && h.SPICE()
}

// OpenConsole connects to a console of a server, on whichever host it is now.
// Who may do so was decided when the address was made.
func (s *Service) OpenConsole(ctx context.Context, stream, id string) (io.ReadWriteCloser, error) {
	var server Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, "", id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.hosts.Tunnel(ctx, server.Host, stream, id)
}

// ConsoleToken is what an address of a console stands for.
type ConsoleToken struct {
	Server string
	Host   string // where it is to be opened
	Port   int
}

// ConsoleToken looks at the token of an address that waits to be opened.
func (s *Service) ConsoleToken(ctx context.Context, token string) (ConsoleToken, error) {
	if s.consoles == nil {
		return ConsoleToken{}, errs.NotFoundf("Token not found")
	}
	server, host, port, err := s.consoles.Find(ctx, token)
	return ConsoleToken{Server: server, Host: host, Port: port}, err
}
