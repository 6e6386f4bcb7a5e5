package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"nacre/internal/cluster"
	"nacre/internal/errs"
	"nacre/internal/identity"
	"nacre/internal/image"
	"nacre/internal/loop"
	"nacre/internal/volume"
)

// fill gives a fresh cloud what it begins with. Each part is done once and
// left alone afterwards, so that what users delete stays deleted; all of it may
// be repeated after a start that was killed.
func (cloud *Cloud) fill(ctx context.Context, identities *identity.Service, images *image.Service, volumes *volume.Service) error {
	c := cloud.Config
	var err error
	cloud.Secrets, err = cloud.openSecrets(ctx)
	if err != nil {
		return err
	}
	_, err = identities.Bootstrap(ctx, identity.Bootstrap{
		Region: c.Region, Services: catalog(), AdminPassword: cloud.Secrets.Admin, DemoPassword: cloud.Secrets.Demo,
	})
	if err != nil {
		return fmt.Errorf("fill identity: %w", err)
	}
	admin, err := projectID(ctx, identities, "admin")
	if err != nil {
		return err
	}
	demo, err := projectID(ctx, identities, "demo")
	if err != nil {
		return err
	}
	err = errors.Join(
		cloud.Compute.Bootstrap(ctx),
		volumes.Bootstrap(ctx),
		cloud.Network.Bootstrap(ctx, admin, demo, c.External),
	)
	if err != nil {
		return fmt.Errorf("fill cloud: %w", err)
	}
	err = cloud.fillImage(ctx, images, admin)
	if err != nil {
		return fmt.Errorf("fill images: %w", err)
	}
	return writeClientFiles(c, cloud.Secrets)
}

func projectID(ctx context.Context, identities *identity.Service, name string) (string, error) {
	found, err := identities.Projects(ctx, identity.ProjectFilter{Name: name, DomainID: identity.DefaultDomain})
	if err != nil {
		return "", fmt.Errorf("find project %s: %w", name, err)
	}
	if len(found) == 0 {
		return "", nil // an operator has removed it
	}
	return found[0].ID, nil
}

// catalog are the services and their paths, as clients expect them: image,
// network and placement without a version.
func catalog() []identity.NewService {
	return []identity.NewService{
		{Type: "identity", Name: "keystone", Path: "/identity"},
		{Type: "image", Name: "glance", Path: "/image"},
		{Type: "compute", Name: "nova", Path: "/compute/v2.1"},
		{Type: "placement", Name: "placement", Path: "/placement"},
		{Type: "network", Name: "neutron", Path: "/network"},
		{Type: "volumev3", Name: "cinderv3", Path: "/volume/v3/$(project_id)s"},
		{Type: "block-storage", Name: "cinder", Path: "/volume/v3/$(project_id)s"},
		{Type: "object-store", Name: "swift", Path: "/v1/AUTH_$(project_id)s"},
	}
}

const (
	firstImage = "cirros"
	// firstImageID is fixed, so that a repetition finds the image that an
	// interrupted start has made.
	firstImageID = "6e616372-6500-4000-8000-636972726f73"
)

// firstImageFact tells that the cloud has had its first image.
const firstImageFact = "first-image"

// fillImage makes the first image. On simulated hosts nothing reads it, so a
// tiny one does, at once; for real hosts it is built from Debian packages, which
// takes a while. A loop goes on with what does not succeed at once. A server
// without hosts of its own, for real ones, leaves it to the operator.
func (cloud *Cloud) fillImage(ctx context.Context, images *image.Service, admin string) error {
	_, err := os.Stat(filepath.Join(cloud.Config.DataDir, firstImageFact))
	if err == nil { // a data folder from before it was in the database
		_, err = cluster.Fact(ctx, cloud.DB, firstImageFact, func() (string, error) { return firstImageID, nil })
		return err
	}
	done, err := cloud.hasFirstImage(ctx)
	if err != nil || done {
		return err
	}
	if cloud.Config.Server && cloud.Config.OVNNorth != "" {
		return nil
	}
	if !cloud.Config.Real {
		err = cloud.addImage(ctx, images, admin)
		if err == nil {
			return nil
		}
		cloud.Config.Log.Warn("the first image comes later", "error", err)
	}
	cloud.Loops.Add(loop.Loop{Name: "app.first-image", Every: 10 * time.Second, Once: func(ctx context.Context) error {
		done, err := cloud.hasFirstImage(ctx)
		if err != nil || done {
			return err
		}
		loop.Did(ctx, "image", firstImage)
		return cloud.addImage(ctx, images, admin)
	}})
	return nil
}

func (cloud *Cloud) hasFirstImage(ctx context.Context) (bool, error) {
	_, done, err := cluster.Known(ctx, cloud.DB, firstImageFact)
	return done, err
}

func (cloud *Cloud) addImage(ctx context.Context, images *image.Service, admin string) error {
	bytes, err := cloud.imageBytes(ctx)
	if err != nil {
		return err
	}
	defer bytes.Close()
	_, err = images.Create(ctx, image.NewImage{
		ID: firstImageID, Name: firstImage, Owner: admin, Visibility: image.Public, DiskFormat: "qcow2", ContainerFormat: "bare",
		Properties: map[string]string{"os_distro": "debian"},
	})
	if err != nil && !errs.Is(err, errs.Conflict) {
		return err
	}
	err = images.Upload(ctx, firstImageID, "", bytes)
	if errs.Is(err, errs.Conflict) {
		// It has bytes, or the upload of a former process has not been given up yet.
		var found image.Image
		found, err = images.Image(ctx, image.Viewer{Admin: true}, firstImageID)
		if err == nil && found.Status != image.Active {
			return fmt.Errorf("image %s is %s", firstImage, found.Status)
		}
	}
	if err != nil && !errs.Is(err, errs.NotFound) { // not found: somebody has deleted it already
		return err
	}
	_, err = cluster.Fact(ctx, cloud.DB, firstImageFact, func() (string, error) { return firstImageID, nil })
	return err
}

func (cloud *Cloud) imageBytes(ctx context.Context) (io.ReadCloser, error) {
	if !cloud.Config.Real {
		return io.NopCloser(bytes.NewReader(emptyQCOW2(16 << 20))), nil
	}
	return cloud.realImage(ctx)
}

// emptyQCOW2 makes the smallest image with an empty disk of the size in it.
func emptyQCOW2(size uint64) []byte {
	const cluster = 1 << 16
	out := make([]byte, 4*cluster) // header, refcount table, refcount block, L1 table
	copy(out, "QFI\xfb")
	for _, field := range []struct {
		at    int
		value uint64
	}{{24, size}, {40, 3 * cluster}, {48, cluster}} { // virtual size, L1 table, refcount table
		binary.BigEndian.PutUint64(out[field.at:], field.value)
	}
	for _, field := range []struct {
		at    int
		value uint32
	}{{4, 3}, {20, 16}, {36, 1}, {56, 1}, {96, 4}, {100, 104}} { // version, cluster bits, L1 and refcount sizes, refcount order, header length
		binary.BigEndian.PutUint32(out[field.at:], field.value)
	}
	binary.BigEndian.PutUint64(out[cluster:], 2*cluster)
	for i := range 4 {
		binary.BigEndian.PutUint16(out[2*cluster+2*i:], 1)
	}
	return out
}

// housekeeping are the loops that belong to no service.
func (cloud *Cloud) housekeeping() []loop.Loop {
	const keep = 30 * 24 * time.Hour
	return []loop.Loop{{Name: "app.prune-plans", Every: time.Hour, Once: func(ctx context.Context) error {
		return cloud.Engine.Prune(ctx, keep)
	}}}
}
