package api_test

import (
	"os"
	"path/filepath"
	"testing"

	"nacre/internal/api"
)

// A server that runs in a folder which has been removed reads requests as ever.
func TestSchemasNeedNoFolder(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	err := os.Mkdir(gone, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	err = os.Remove(gone)
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		Name string `json:"name" check:"required"`
	}
	err = new(api.Call).DecodeJSON([]byte(`{"name": "web"}`), &in)
	if err != nil || in.Name != "web" {
		t.Errorf("got name %q, %v; want web", in.Name, err)
	}
}
