package compute

import (
	"context"
	"encoding/json"
	"errors"
)

// placeholder until the content is written
type instanceData struct{}

func (s *Service) instanceData(Server, secrets, []Port) instanceData { return instanceData{} }
func (instanceData) files() (map[string][]byte, error)               { return nil, nil }

func (s *Service) answerMetadata(ctx context.Context, host string, payload json.RawMessage) (any, error) {
	return nil, errors.New("not yet")
}
