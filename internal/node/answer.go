package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// answer answers the servers' questions.
func (n *Node) answer(ctx context.Context, name string, payload json.RawMessage) (any, error) {
	switch name {
	case nodeapi.QueryLog:
		return n.answerLog(ctx, payload)
	case nodeapi.QueryStrays:
		return n.answerStrays(ctx)
	case nodeapi.QueryDiagnose:
		return n.answerDiagnose(ctx, payload)
	case nodeapi.QueryPassword:
		return n.answerPassword(ctx, payload)
	case nodeapi.QueryUptime:
		return n.answerUptime(ctx)
	case nodeapi.QueryCache:
		return n.answerCache(ctx, payload)
	}
	return nil, &nodeapi.RemoteError{Status: http.StatusNotFound, Message: "this node does not answer " + name}
}

func (n *Node) answerStrays(ctx context.Context) (any, error) {
	list, err := n.o.Block.Strays(ctx)
	if err != nil {
		return nil, remote(err)
	}
	reply := nodeapi.StraysReply{Strays: []nodeapi.Stray{}}
	for _, s := range list[:min(len(list), nodeapi.MaxStrays)] {
		reply.Strays = append(reply.Strays, nodeapi.Stray(s))
	}
	return reply, nil
}

// unreadable is what a question gets that is none.
var unreadable = &nodeapi.RemoteError{Status: http.StatusBadRequest, Message: "unreadable question"}

func (n *Node) answerUptime(ctx context.Context) (any, error) {
	up, err := n.o.Virt.Uptime(ctx)
	if err != nil {
		return nil, remote(fmt.Errorf("how long the host has been up: %w", err))
	}
	return up, nil
}

func (n *Node) answerDiagnose(ctx context.Context, payload json.RawMessage) (any, error) {
	var query nodeapi.MachineQuery
	err := json.Unmarshal(payload, &query)
	if err != nil {
		return nil, unreadable
	}
	found, err := n.o.Virt.Diagnose(ctx, query.Machine)
	if err != nil {
		return nil, remote(fmt.Errorf("diagnose machine %s: %w", query.Machine, err))
	}
	return found, nil
}

func (n *Node) answerPassword(ctx context.Context, payload json.RawMessage) (any, error) {
	var query nodeapi.PasswordQuery
	err := json.Unmarshal(payload, &query)
	if err != nil {
		return nil, unreadable
	}
	err = n.o.Virt.SetPassword(ctx, query.Machine, query.User, query.Password)
	if err != nil {
		return nil, remote(fmt.Errorf("set a password in machine %s: %w", query.Machine, err))
	}
	return struct{}{}, nil
}

// answerCache fetches an image that no machine here needs yet. A host without bytes
// has an image as soon as a server knows of it.
func (n *Node) answerCache(ctx context.Context, payload json.RawMessage) (any, error) {
	var query nodeapi.ImageQuery
	err := json.Unmarshal(payload, &query)
	if err != nil {
		return nil, unreadable
	}
	var reply nodeapi.CacheReply
	conn := n.connection()
	switch {
	case conn == nil:
		return nil, &nodeapi.RemoteError{Status: http.StatusServiceUnavailable, Message: "no server is connected"}
	case n.o.Images == nil:
		reply.Here = true
		_, err = conn.Ask(ctx, nodeapi.QueryImage, query)
	default:
		n.mu.Lock()
		life := n.ctx
		n.mu.Unlock()
		reply.Here, err = n.o.Images.Ahead(life, query.Image, n.work.Go)
	}
	if err != nil {
		n.log.Info("an image could not be fetched ahead", "image_id", query.Image, "error", err)
		return nodeapi.CacheReply{Problem: err.Error()}, nil
	}
	return reply, nil
}

func (n *Node) answerLog(ctx context.Context, payload json.RawMessage) (any, error) {
	var query nodeapi.LogQuery
	err := json.Unmarshal(payload, &query)
	if err != nil {
		return nil, unreadable
	}
	log, err := n.o.Virt.Log(ctx, query.Machine, query.Lines)
	if err != nil {
		return nil, remote(fmt.Errorf("read console log of machine %s: %w", query.Machine, err))
	}
	if len(log) > nodeapi.MaxLog {
		log = log[len(log)-nodeapi.MaxLog:]
	}
	return nodeapi.LogReply{Log: log}, nil
}

// stream opens a machine's screen or serial line, or a volume, for a server.
func (n *Node) stream(ctx context.Context, kind, id string) (func(*nodeapi.Stream) error, error) {
	var open func(context.Context, string) (io.ReadWriteCloser, error)
	switch kind {
	case nodeapi.StreamVNC:
		open = n.o.Virt.VNC
	case nodeapi.StreamSPICE:
		open = n.o.Virt.SPICE
	case nodeapi.StreamSerial:
		open = n.o.Virt.Serial
	case nodeapi.StreamRoot:
		return n.readDisk(ctx, id)
	case nodeapi.StreamFreeze:
		return n.freeze(ctx, id)
	case nodeapi.StreamRead, nodeapi.StreamWrite:
		open = func(ctx context.Context, id string) (io.ReadWriteCloser, error) {
			if !n.knows(key{nodeapi.KindVolume, id}) {
				return nil, errs.NotFoundf("Volume %s could not be found.", id)
			}
			return n.o.Block.Open(ctx, id, kind == nodeapi.StreamWrite)
		}
	case nodeapi.StreamExport:
		open = n.openExport
	case nodeapi.StreamMove:
		open = n.receive
	default:
		return nil, &nodeapi.RemoteError{Status: http.StatusNotFound, Message: "this node does not serve " + kind}
	}
	end, err := open(ctx, id)
	if err != nil {
		return nil, remote(fmt.Errorf("open %s of %s: %w", kind, id, err))
	}
	return func(s *nodeapi.Stream) error {
		nodeapi.Splice(s, end)
		return nil
	}, nil
}

// receive takes in a machine that comes from another host, if this is the move by
// which it is to come.
func (n *Node) receive(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	machine, move, channel, ok := nodeapi.ParseMoveID(id)
	n.mu.Lock()
	d := n.docs[key{nodeapi.KindMachine, machine}]
	expected := ok && d != nil && !d.desired.Gone && d.machine.Incoming != nil && d.machine.Incoming.Move == move
	n.mu.Unlock()
	if !expected {
		return nil, errs.NotFoundf("No machine comes here as %q.", id)
	}
	return n.o.Virt.Receive(ctx, machine, move, channel)
}

// readDisk sends a disk that lives with a machine.
func (n *Node) readDisk(ctx context.Context, id string) (func(*nodeapi.Stream) error, error) {
	machine, name := nodeapi.ParseDiskID(id)
	disk, err := n.o.Virt.Disk(ctx, machine, name)
	if err != nil {
		return nil, remote(fmt.Errorf("read disk %s of machine %s: %w", name, machine, err))
	}
	return func(s *nodeapi.Stream) error {
		defer disk.Close()
		_, err := io.Copy(s, disk)
		return err
	}, nil
}

// freezeLimit is how long the file systems of a guest may be frozen for a server: a
// guest that waits longer for its disk may take it for broken.
const freezeLimit = time.Minute

// freeze has the file systems of a guest frozen for as long as the server keeps the
// stream open. When the server, its connection or this node ends, they go on.
func (n *Node) freeze(ctx context.Context, id string) (func(*nodeapi.Stream) error, error) {
	held, err := n.o.Virt.Freeze(ctx, id)
	if err != nil {
		return nil, remote(fmt.Errorf("freeze machine %s: %w", id, err))
	}
	return func(s *nodeapi.Stream) error {
		defer held.Close()
		limit := time.AfterFunc(freezeLimit, s.Reset)
		defer limit.Stop()
		_, err := io.Copy(s, s)
		return err
	}, nil
}

// remote makes an error that keeps its class over the connection.
func remote(err error) error {
	e, ok := errs.As(err)
	if ok {
		return &nodeapi.RemoteError{Status: int(e.Kind), Message: e.Message}
	}
	return err
}
