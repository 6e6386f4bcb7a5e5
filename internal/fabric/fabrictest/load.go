package fabrictest

import (
	"fmt"
	"io"
	"net"
	"time"
)

// Load is how many bytes Pour sends.
const Load = 2 << 20

// Sink reads the load of each connection to the port and says when it was all.
func (g *Guest) Sink(port int) {
	g.t.Helper()
	g.must(g.Do(func() error {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		g.t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					io.CopyN(io.Discard, conn, Load)
					io.WriteString(conn, "all")
				}()
			}
		}()
		return nil
	}))
}

// Pour sends the load to a sink and says how long that took.
func (g *Guest) Pour(to string) (took time.Duration, err error) {
	err = g.Do(func() error {
		took, err = pour(to)
		return err
	})
	return took, err
}

func pour(to string) (time.Duration, error) {
	conn, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = conn.SetDeadline(time.Now().Add(2 * patience))
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = conn.Write(make([]byte, Load))
	if err != nil {
		return 0, err
	}
	_, err = io.ReadAll(conn)
	return time.Since(began), err
}
