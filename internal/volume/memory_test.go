package volume_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// memory is an object store in memory.
type memory struct {
	mu   sync.Mutex // guards objects
	kept map[string]object
}

type object struct{ mark, text string }

func newMemory() *memory { return &memory{kept: map[string]object{}} }

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.kept))
}

var moments = regexp.MustCompile(`/\d{14}/`)

// places are the names without the moments that they name.
func (m *memory) places() []string {
	list := m.names()
	for i, name := range list {
		list[i] = moments.ReplaceAllString(name, "/then/")
	}
	return list
}

func (m *memory) PutContainer(context.Context, string, string) error { return nil }

func (m *memory) PutObject(_ context.Context, project, container, name, mark string, from io.Reader) error {
	text, err := io.ReadAll(from)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[project+"/"+container+"/"+name] = object{mark, string(text)}
	return err
}

func (m *memory) get(project, container, name string) (object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.kept[project+"/"+container+"/"+name]
	if !ok {
		return o, errs.NotFoundf("Object %s could not be found.", name)
	}
	return o, nil
}

func (m *memory) Mark(_ context.Context, project, container, name string) (string, error) {
	o, err := m.get(project, container, name)
	return o.mark, err
}

func (m *memory) OpenObject(_ context.Context, project, container, name string) (io.ReadCloser, error) {
	o, err := m.get(project, container, name)
	return io.NopCloser(strings.NewReader(o.text)), err
}

func (m *memory) ObjectNames(_ context.Context, project, container, prefix string) ([]string, error) {
	var list []string
	for _, name := range m.names() {
		name, ok := strings.CutPrefix(name, project+"/"+container+"/")
		if ok && strings.HasPrefix(name, prefix) {
			list = append(list, name)
		}
	}
	return list, nil
}

func (m *memory) RemoveObject(_ context.Context, project, container, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, project+"/"+container+"/"+name)
	return nil
}

// gallery is an image service in memory: one image is there from the start.
type gallery struct {
	mu     sync.Mutex // guards images
	images map[string][]byte
}

const anImage = "11111111-2222-4333-8444-555555555555"

func newGallery() *gallery { return &gallery{images: map[string][]byte{anImage: nil}} }

func (g *gallery) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.images))
}

func (g *gallery) Image(_ context.Context, _ volume.Viewer, id string) (volume.Image, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.images[id]
	if !ok {
		return volume.Image{}, errs.NotFoundf("No image found with ID %s", id)
	}
	return volume.Image{ID: id, Status: "active", DiskFormat: "raw", ContainerFormat: "bare"}, nil
}

func (g *gallery) CreateImage(_ context.Context, image volume.NewImage) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.images[image.ID] == nil {
		g.images[image.ID] = []byte{}
	}
	return nil
}

func (g *gallery) Upload(_ context.Context, image volume.NewImage, from io.Reader) error {
	text, err := io.ReadAll(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.images[image.ID] = bytes.Clone(text)
	return err
}

func (g *gallery) DeleteImage(_ context.Context, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.images, id)
	return nil
}

// nobody is a compute service without servers.
type nobody struct{}

func (nobody) HostOf(_ context.Context, _, server string) (string, error) {
	return "", errs.NotFoundf("Instance %s could not be found.", server)
}

func (nobody) Extended(context.Context, *db.Tx, string, string, int64) error { return nil }

// glue seals nothing, but only opens in the place that it sealed for.
type glue struct{}

func (glue) Seal(place, secret string) string { return place + "=" + secret }

func (glue) Open(place, sealed string) (string, error) {
	secret, ok := strings.CutPrefix(sealed, place+"=")
	if !ok {
		return "", errs.Forbiddenf("This was sealed for another place.")
	}
	return secret, nil
}
