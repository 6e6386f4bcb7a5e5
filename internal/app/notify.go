package app

import (
	"log/slog"
	"net"
	"os"
)

// notifyReady tells the service manager that started us that all is up, so that
// "systemctl start" returns then and not before. Elsewhere nobody listens.
func notifyReady(log *slog.Logger) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte("READY=1"))
	}
	if err != nil {
		log.Warn("the service manager does not know that we are ready", "error", err)
	}
}
