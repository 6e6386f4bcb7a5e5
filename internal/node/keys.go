package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"nacre/internal/nodeapi"
)

// Keys asks the servers for the keys of this host's encrypted volumes, anew each
// time: nothing of them is kept. It implements blockdev.Keys. Make it first, give
// it to the driver, then to the node, through whose connection it asks.
type Keys struct{ connection func() *nodeapi.Conn }

// Key implements blockdev.Keys.
func (k *Keys) Key(ctx context.Context, volume string) (string, error) {
	if k.connection == nil || k.connection() == nil {
		return "", errors.New("no server is connected that has the volume's key")
	}
	answer, err := k.connection().Ask(ctx, nodeapi.QueryKey, nodeapi.KeyQuery{Volume: volume})
	if err != nil {
		return "", fmt.Errorf("ask for the key of volume %s: %w", volume, kept(err))
	}
	var reply nodeapi.KeyReply
	err = json.Unmarshal(answer, &reply)
	if err == nil && reply.Key == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("read the key of volume %s: %w", volume, err)
	}
	return reply.Key, nil
}
