package image

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// The ways to import an image.
const (
	GlanceDirect = "glance-direct" // what was staged before
	WebDownload  = "web-download"  // from a URL
	CopyImage    = "copy-image"    // into further stores
)

// ImportMethods are those that work here.
var ImportMethods = []string{GlanceDirect, WebDownload, CopyImage}

// NewImport is what is asked of an import.
type NewImport struct {
	Method      string
	URI         string          // of a web-download
	Stores      []string        // where to; none is the default one
	All         bool            // into every store
	MustSucceed bool            // in every store that is asked for
	Expect      *Expected       // refuse other bytes
	TaskType    string          // "" is TaskImport
	Request     json.RawMessage // as it was sent, for the task
	By          work.Caller
}

// Expected is what the bytes of an image must come to.
type Expected struct {
	Checksum  string `json:"checksum,omitempty"`
	HashValue string `json:"os_hash_value,omitempty"`
}

// taskInput is what a task tells of the import that it is about.
type taskInput struct {
	Image  string          `json:"image_id"`
	Import json.RawMessage `json:"import_req"`
	Stores []string        `json:"backend"`
}

// Import begins to import an image: it is on its way when Import returns.
func (s *Service) Import(ctx context.Context, id string, in NewImport) (Task, error) {
	if in.TaskType == "" {
		in.TaskType = TaskImport
	}
	task, err := newTask(in.TaskType, id, in.By, nil)
	if err != nil {
		return Task{}, fmt.Errorf("import image %s: %w", id, err)
	}
	upload := clock.UUID()
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		image, err := find(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.startImport(ctx, tx, image, &task, upload, in)
	})
	if err != nil {
		return Task{}, fmt.Errorf("import image %s: %w", id, err)
	}
	return task, nil
}

// CreateImported makes an image and begins to import it, as one.
func (s *Service) CreateImported(ctx context.Context, in NewImage, from NewImport) (Task, error) {
	image := s.newImage(in)
	task, err := newTask(from.TaskType, image.ID, from.By, nil)
	if err == nil {
		err = image.check()
	}
	if err != nil {
		return Task{}, fmt.Errorf("create an imported image: %w", err)
	}
	upload := clock.UUID()
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := s.insertImage(ctx, tx, image)
		if err != nil {
			return err
		}
		return s.startImport(ctx, tx, image, &task, upload, from)
	})
	if err != nil {
		return Task{}, fmt.Errorf("create an imported image: %w", err)
	}
	return task, nil
}

// startImport makes the image importing and starts the plan that does it.
func (s *Service) startImport(ctx context.Context, tx *db.Tx, image Image, task *Task, upload string, in NewImport) error {
	err := image.importable(in.Method)
	if err != nil {
		return err
	}
	stores, err := s.targets(image, in)
	if err != nil {
		return err
	}
	state := importState{
		Image: image.ID, Task: task.ID, Upload: upload, Key: blobPrefix + upload, URI: in.URI, Staged: image.Staged, Expect: in.Expect,
		Before: image.Status, Stores: stores, MustSucceed: in.MustSucceed,
	}
	task.Input, err = inputOf(image.ID, in.Request, stores)
	if err != nil {
		return err
	}
	image.Import = db.Of(&Import{Task: task.ID, To: stores})
	if in.Method != CopyImage {
		err = s.roomFor(ctx, tx, image.Owner, Importing)
		if err != nil {
			return err
		}
		image.Status, image.Upload = Importing, upload
	}
	image.Generation, image.UpdatedAt = image.Generation+1, db.At(tx.Now())
	_, err = tx.Update(ctx, &image, "status", "upload", "import", "generation", "updated_at")
	if err != nil {
		return err
	}
	err = insertTask(ctx, tx, task)
	if err != nil {
		return err
	}
	plan := s.importPlan()
	if in.Method == CopyImage {
		plan, state.Key = s.copyPlan(), image.Blob
	}
	_, err = work.Start(ctx, tx, plan, image.ID, state, work.Project(image.Owner), work.By(in.By))
	return err
}

func inputOf(image string, request json.RawMessage, stores []string) (db.JSON[json.RawMessage], error) {
	raw, err := json.Marshal(taskInput{image, request, stores})
	return db.Of(json.RawMessage(raw)), err
}

// importable tells whether the method can be used on the image as it is.
func (i Image) importable(method string) error {
	switch {
	case i.Import.V != nil && i.Import.V.Task != "":
		return errs.Conflictf("Image has active task")
	case i.Status == Active && method != CopyImage:
		return errs.Conflictf("Image with status active cannot be target for import")
	case i.Status != Active && method == CopyImage:
		return errs.Conflictf("Only images with status active can be targeted for copying")
	case i.Status != Queued && method == WebDownload:
		return errs.Conflictf("Image needs to be in 'queued' state to use '%s' method", method)
	case (i.Status != Uploading || i.Staged == "") && method == GlanceDirect:
		return errs.Conflictf("Image needs to be staged before 'glance-direct' method can be used")
	case i.ContainerFormat == "":
		return errs.Conflictf("'container_format' needs to be set before import")
	case i.DiskFormat == "":
		return errs.Conflictf("'disk_format' needs to be set before import")
	}
	return nil
}

// targets are the stores that an import goes to. A copy leaves out those that
// have the image already, if it goes to all.
func (s *Service) targets(i Image, in NewImport) ([]string, error) {
	stores := in.Stores
	switch {
	case in.All:
		stores = s.StoreIDs()
	case len(stores) == 0:
		stores = []string{s.stores[0].ID}
	}
	out := []string{}
	for _, id := range stores {
		if !slices.Contains(s.StoreIDs(), id) {
			return nil, errs.Conflictf("Store for identifier %s not found", id)
		}
		has := in.Method == CopyImage && slices.Contains(i.Stores.V, id)
		if has && !in.All {
			return nil, errs.BadRequestf("Image is already present at store '%s'", id)
		}
		if !has && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}
