package image

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// importDeadline is how long an import may take: a download may be slow.
const importDeadline = 12 * time.Hour

// importState is what the plans about an image's bytes keep.
type importState struct {
	Image       string
	Task        string
	Upload      string    // names the bytes, and fences the image against others
	Key         string    // of the bytes in the stores
	URI         string    // where they come from; "" when they are staged
	Staged      string    // key of the bytes in the default store
	Expect      *Expected // what they must come to
	Before      string    // status to go back to
	Stores      []string  // where they go
	MustSucceed bool      // to all of them
	Done        []string  // where they are
	Failed      []string
	Found       measured
	Format      string // disk format, when the bytes were converted
}

// importPlan takes an image's bytes from where they are into its stores. Given
// up, it leaves the image as it was, with what was staged.
func (s *Service) importPlan() work.Plan[importState] {
	return work.Plan[importState]{
		Name: "image.import", Action: "import", Deadline: importDeadline,
		Steps: []work.Step[importState]{
			{Name: "begin", Tx: s.beginImport},
			{Name: "fetch the bytes", Do: s.fetchBytes, Undo: s.dropFetched},
			{Name: "store the bytes", Do: s.storeBytes, Undo: s.dropStored},
			{Name: "activate", Tx: s.activate, NoReturn: true},
			{Name: "clear the staging area", Do: s.clearStaged},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *importState, cause error) error {
			_, err := tx.Exec(ctx, `
				UPDATE images SET status = ?, upload = '', import = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND upload = ?`,
				state.Before, db.Of(&Import{Failed: state.Stores}), db.At(tx.Now()), state.Image, state.Upload)
			if err != nil {
				return err
			}
			return s.failTask(ctx, tx, state, cause)
		},
	}
}

// copyPlan takes an image's bytes into further stores. What could not be copied
// is noted; the image stays usable all the while.
func (s *Service) copyPlan() work.Plan[importState] {
	return work.Plan[importState]{
		Name: "image.copy", Action: "copy", Deadline: importDeadline,
		Steps: []work.Step[importState]{
			{Name: "begin", Tx: s.beginImport},
			{Name: "copy the bytes", Do: s.copyBytes, Undo: s.dropStored},
			{Name: "note the stores", Tx: s.noteStores},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *importState, cause error) error {
			_, err := tx.Exec(ctx, `UPDATE images SET import = ?, generation = generation + 1 WHERE id = ?`, db.Of(&Import{Failed: state.Stores}), state.Image)
			if err != nil {
				return err
			}
			return s.failTask(ctx, tx, state, cause)
		},
	}
}

func (s *Service) failTask(ctx context.Context, tx *db.Tx, state *importState, cause error) error {
	s.log.Warn("import of an image was given up", "image_id", state.Image, "task_id", state.Task, "reason", cause)
	message := cause.Error()
	known, classified := errs.As(cause)
	if classified {
		message = known.Message
	}
	return setTask(ctx, tx, state.Task, TaskFailure, message, nil)
}

func (s *Service) beginImport(ctx context.Context, tx *db.Tx, state *importState) error {
	return setTask(ctx, tx, state.Task, TaskProcessing, "", nil)
}

// importing reads the image that the plan is about. One that was deleted, or is
// somebody else's by now, ends the plan.
func (s *Service) importing(ctx context.Context, state *importState) (Image, error) {
	var image Image
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, state.Image)
		return err
	})
	if err == nil && (image.Import.V == nil || image.Import.V.Task != state.Task) {
		err = errs.New(errs.Gone, "The import of image %s was replaced by another one.", state.Image)
	}
	return image, err
}

// fetchBytes brings the bytes of a download into the staging area.
func (s *Service) fetchBytes(ctx context.Context, state *importState) error {
	if state.URI == "" {
		return nil
	}
	_, err := s.importing(ctx, state)
	if err != nil {
		return err
	}
	from, err := s.fetcher.Get(ctx, state.URI, MaxSize)
	if err != nil {
		return err
	}
	defer from.Close()
	key := stagedPrefix + state.Upload
	_, err = put(ctx, s.stores[0].Blobs, key, from)
	if err != nil {
		return fmt.Errorf("fetch image %s: %w", state.Image, err)
	}
	state.Staged = key
	return nil
}

func (s *Service) dropFetched(ctx context.Context, state *importState) error {
	if state.URI == "" {
		return nil
	}
	return s.stores[0].Blobs.Remove(ctx, stagedPrefix+state.Upload)
}

// storeBytes puts the bytes, converted if that is wanted, into the stores.
func (s *Service) storeBytes(ctx context.Context, state *importState) error {
	image, err := s.importing(ctx, state)
	if err != nil {
		return err
	}
	from, err := s.stores[0].Blobs.Open(ctx, state.Staged)
	if err != nil {
		return fmt.Errorf("open the staged bytes of image %s: %w", image.ID, err)
	}
	defer from.Close()
	bytes, format, err := s.converted(ctx, image, state, from)
	if err != nil {
		return err
	}
	defer bytes.Close()
	state.Format = format
	return s.spread(ctx, state, bytes)
}

// spread puts bytes into each of the plan's stores. A store that fails is an
// error, unless it may.
func (s *Service) spread(ctx context.Context, state *importState, bytes io.ReadSeeker) error {
	state.Done, state.Failed = nil, nil
	var last error
	for _, id := range state.Stores {
		store, err := s.store(id)
		if err == nil {
			_, err = bytes.Seek(0, io.SeekStart)
		}
		var m measured
		if err == nil {
			m, err = put(ctx, store.Blobs, state.Key, bytes)
		}
		_, refused := errs.As(err)
		switch {
		case err == nil:
			state.Done, state.Found = append(state.Done, id), m
			continue
		case state.MustSucceed || refused || ctx.Err() != nil:
			return fmt.Errorf("store image %s in %s: %w", state.Image, id, err)
		}
		s.log.Warn("an image was not stored", "image_id", state.Image, "store", id, "error", err)
		state.Failed, last = append(state.Failed, id), err
	}
	if len(state.Done) == 0 {
		return last // nil when there was nothing to do
	}
	return state.Expect.check(state.Found)
}

// check compares the bytes with what they must come to.
func (e *Expected) check(m measured) error {
	switch {
	case e == nil:
	case e.Checksum != "" && e.Checksum != m.Checksum:
		return errs.BadRequestf("The checksum of the bytes is %s, not %s.", m.Checksum, e.Checksum)
	case e.HashValue != "" && e.HashValue != m.HashValue:
		return errs.BadRequestf("The SHA-512 of the bytes is %.16s…, not %.16s….", m.HashValue, e.HashValue)
	}
	return nil
}

// dropStored removes what was stored, from where the image is not for good.
func (s *Service) dropStored(ctx context.Context, state *importState) error {
	image, err := s.importing(ctx, state)
	if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Gone) {
		return err
	}
	for _, id := range state.Stores {
		if image.Blob == state.Key && slices.Contains(image.Stores.V, id) {
			continue
		}
		err = s.removeBlob(ctx, id, state.Key)
		if err != nil {
			return err
		}
	}
	return nil
}

// activate makes the bytes the image's.
func (s *Service) activate(ctx context.Context, tx *db.Tx, state *importState) error {
	image, err := find(ctx, tx, state.Image)
	if err != nil {
		return err
	}
	image.Upload = state.Upload
	if state.Format != "" {
		image.DiskFormat = state.Format
	}
	state.Found.fill(&image, state.Key, state.Done)
	image.Staged, image.Import = "", db.Of(&Import{Failed: state.Failed})
	err = finishUpload(ctx, tx, image)
	if err != nil {
		return err
	}
	return setTask(ctx, tx, state.Task, TaskSuccess, "Copied "+fmt.Sprint(state.Found.Size>>20)+" MiB", map[string]string{"image_id": image.ID})
}

func (s *Service) clearStaged(ctx context.Context, state *importState) error {
	if state.Staged == "" {
		return nil
	}
	return s.stores[0].Blobs.Remove(ctx, state.Staged)
}

func (s *Service) copyBytes(ctx context.Context, state *importState) error {
	image, err := s.importing(ctx, state)
	if err != nil {
		return err
	}
	from, err := s.openStored(ctx, image)
	if err != nil {
		return fmt.Errorf("open image %s: %w", image.ID, err)
	}
	defer from.Close()
	state.Expect = &Expected{HashValue: image.HashValue}
	return s.spread(ctx, state, from)
}

func (s *Service) noteStores(ctx context.Context, tx *db.Tx, state *importState) error {
	image, err := find(ctx, tx, state.Image)
	if err != nil {
		return err
	}
	stores := slices.Clone(image.Stores.V)
	for _, id := range state.Done {
		if !slices.Contains(stores, id) {
			stores = append(stores, id)
		}
	}
	image.Stores, image.Import = db.Of(stores), db.Of(&Import{Failed: state.Failed})
	image.Generation, image.UpdatedAt = image.Generation+1, db.At(tx.Now())
	_, err = tx.Update(ctx, &image, "stores", "import", "generation", "updated_at")
	if err != nil {
		return err
	}
	err = emit(ctx, tx, "image.update", image)
	if err != nil {
		return err
	}
	return setTask(ctx, tx, state.Task, TaskSuccess, "", map[string]string{"image_id": image.ID})
}
