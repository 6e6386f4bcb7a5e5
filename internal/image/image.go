// Package image keeps disk images: what they are called, who may see them, and
// their bytes.
//
// Bytes are hostile. They are inspected while they stream in, by our own code,
// and what could make a host read a file of its own is refused at the upload.
// What the inspector found is kept with the image, and Usable holds it against
// the image's disk format before anything boots from it; no format is ever
// probed again.
//
// An upload writes a blob under a key of its own and then, in one transaction,
// makes it the image's. A process that dies in between leaves a blob nobody
// names and an image whose upload shows no life: two loops clear both away, the
// image is queued again and can be uploaded to anew. An import is a plan, which
// goes on or takes everything back; its task tells users how it fares.
package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"nacre/internal/blob"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
	"nacre/internal/work"
)

// Service is the image service.
type Service struct {
	db        *db.DB
	engine    *work.Engine
	stores    []Store
	cache     blob.Store
	cacheSize int64
	fetcher   fetcher
	converter converter
	work      string
	limits    limits
	clock     clock.Clock
	log       *slog.Logger
}

// Options are what the service needs.
type Options struct {
	DB        *db.DB
	Engine    *work.Engine
	Stores    []Store    // the first is the default one
	Cache     blob.Store // copies for downloads
	CacheSize int64      // bytes that the cache is pruned to; 0 is 10 GiB
	Fetcher   fetcher    // of images that are imported from the web
	Converter converter  // makes imported images raw; nil leaves them as they are
	WorkDir   string     // an empty folder for images that are being converted
	Limits    limits     // that operators have registered; nil for none
	Clock     clock.Clock
	Log       *slog.Logger
}

// limits are what a project may have of some resources, as far as somebody has
// said so.
type limits func(ctx context.Context, tx *db.Tx, project string, resources ...string) (map[string]int64, error)

// fetcher gets what a URL names.
type fetcher interface {
	// Get begins to fetch. More bytes than the limit are an error of the reader.
	Get(ctx context.Context, url string, limit int64) (io.ReadCloser, error)
}

// New makes the service.
func New(o Options) (*Service, error) {
	s := &Service{
		db: o.DB, engine: o.Engine, stores: o.Stores, cache: o.Cache, cacheSize: o.CacheSize, fetcher: o.Fetcher, converter: o.Converter, work: o.WorkDir, limits: o.Limits,
		clock: o.Clock, log: o.Log,
	}
	if s.cacheSize == 0 {
		s.cacheSize = 10 << 30
	}
	work.Register(s.engine, s.importPlan())
	work.Register(s.engine, s.copyPlan())
	return s, nil
}

// The states of an image.
const (
	Queued    = "queued"    // no bytes yet
	Saving    = "saving"    // bytes on their way in
	Uploading = "uploading" // bytes in the staging area, or on their way there
	Importing = "importing" // a plan makes them the image's
	Active    = "active"    // whole, and never changed again

	Deactivated = "deactivated" // whole, kept from all but administrators
)

// The visibilities of an image.
const (
	Private   = "private"
	Shared    = "shared"
	Community = "community"
	Public    = "public"
)

// Image is one image.
type Image struct {
	ID              string                     `bun:",pk"`
	Name            string                     // "" for none
	Owner           string                     // project id
	Visibility      string                     //
	Status          string                     //
	DiskFormat      string                     //
	ContainerFormat string                     //
	MinDisk         int64                      // GiB
	MinRAM          int64                      `bun:"min_ram"` // MiB
	Size            int64                      // bytes; -1 until they are there
	VirtualSize     int64                      // bytes; -1 when unknown
	Checksum        string                     // MD5 in hex
	HashValue       string                     // SHA-512 in hex
	Protected       bool                       //
	Hidden          bool                       //
	Properties      db.JSON[map[string]string] //
	Tags            db.JSON[[]string]          //
	Content         db.JSON[inspect.Result]    // what the bytes are
	Blob            string                     // key of the bytes, the same in each store
	Stores          db.JSON[[]string]          // ids of the stores that have them
	Staged          string                     // key of bytes that wait for their import
	Import          db.JSON[*Import]           // the last import
	Upload          string                     // id of the upload under way
	UploadSeen      db.Time                    //
	Generation      int64                      //
	CreatedAt       db.Time                    //
	UpdatedAt       db.Time                    //
}

// Import is what the last import of an image did or does.
type Import struct {
	Task   string   // its task, while it goes on
	To     []string // stores that it still copies the bytes to
	Failed []string // stores that it could not copy them to
}

// Viewer is who looks at images.
type Viewer struct {
	Project string
	Admin   bool
}

// Image returns an image that the viewer may see. Others are not found.
func (s *Service) Image(ctx context.Context, who Viewer, id string) (Image, error) {
	var image Image
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		image, err = seen(ctx, tx, who, id)
		return err
	})
	return image, err
}

// seen reads an image that the viewer may read. Community images are read by
// whoever knows their id, and listed only on demand; a shared one by its
// members, whatever they have answered.
func seen(ctx context.Context, tx *db.Tx, who Viewer, id string) (Image, error) {
	image, err := find(ctx, tx, id)
	if err != nil {
		return Image{}, err
	}
	sees := who.owns(image) || image.Visibility == Public || image.Visibility == Community
	if !sees && image.Visibility == Shared {
		sees, err = isMember(ctx, tx, id, who.Project)
		if err != nil {
			return Image{}, fmt.Errorf("read members of image %s: %w", id, err)
		}
	}
	if !sees {
		return Image{}, notFound(id)
	}
	return image, nil
}

// owns tells whether the image is the viewer's, or everything is.
func (w Viewer) owns(i Image) bool { return w.Admin || i.Owner == w.Project }

// Usable is an error unless the image's bytes are there and are what its disk
// format says. Whoever boots from an image or copies it to a volume asks first.
func (i Image) Usable() error {
	if i.Status != Active {
		return errs.BadRequestf("Image %s is not active.", i.ID)
	}
	err := i.Content.V.Matches(i.DiskFormat)
	if err != nil {
		return errs.BadRequestf("Image %s is unacceptable: %s.", i.ID, err)
	}
	return nil
}

func find(ctx context.Context, tx *db.Tx, id string) (Image, error) {
	var image Image
	err := tx.Get(ctx, &image, "SELECT * FROM images WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, notFound(id)
	}
	if err != nil {
		return Image{}, fmt.Errorf("read image %s: %w", id, err)
	}
	return image, nil
}

func notFound(id string) error { return errs.NotFoundf("No image found with ID %s", id) }
