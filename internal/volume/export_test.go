package volume

import (
	"context"
	"encoding/json"

	"nacre/internal/nodeapi"
)

// KeyFor asks as the node of a host does.
func (s *Service) KeyFor(ctx context.Context, host, volume string) (string, error) {
	question, err := json.Marshal(nodeapi.KeyQuery{Volume: volume})
	if err != nil {
		return "", err
	}
	reply, err := s.answerKey(ctx, host, question)
	key, _ := reply.(nodeapi.KeyReply)
	return key.Key, err
}
