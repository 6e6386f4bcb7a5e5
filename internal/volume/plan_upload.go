package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nbd"
	"nacre/internal/work"
)

// Uploading is the state of a volume that becomes an image.
const Uploading = "uploading"

// The disk formats that a volume can become: those that are written here, and
// those that are converted.
var (
	plainFormats     = []string{"raw", "qcow2"}
	convertedFormats = []string{"vmdk", "vdi", "vhd", "vhdx", "ploop"}
)

// NewImage is an image to make of a volume.
type NewImage struct {
	ID              string
	Name            string
	Project         string
	DiskFormat      string
	ContainerFormat string
	Visibility      string
	Protected       bool
	MinDiskGB       int64
	MinRAMMB        int64
	Properties      map[string]string
}

// uploadState is what the plan keeps.
type uploadState struct {
	From  readFrom
	Image NewImage
}

// Upload is what came of the request.
type Upload struct {
	Volume Volume
	Image  NewImage
	Type   Type
}

// UploadVolume begins to make an image of a volume. Force takes one that is in
// use.
func (s *Service) UploadVolume(ctx context.Context, who Viewer, id string, image NewImage, force bool) (Upload, error) {
	formats := plainFormats
	if s.converter != nil {
		formats = slices.Concat(plainFormats, convertedFormats)
	}
	if !slices.Contains(formats, image.DiskFormat) {
		return Upload{}, errs.BadRequestf("Invalid input received: A volume cannot be uploaded as disk format %s: it may be one of %v.", image.DiskFormat, formats)
	}
	out := Upload{Image: image}
	out.Image.ID = s.newID()
	copied := s.newID()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if v.Status != Available && !(force && v.Status == InUse) {
			return errs.BadRequestf("Invalid volume: Volume %s status must be available or in-use with force, but current status is: %s.", v.ID, v.Status)
		}
		if v.Key != "" {
			return errs.BadRequestf("Invalid volume: Volume %s is encrypted and cannot become an image, which would not be.", v.ID)
		}
		err = copying(ctx, tx, v.ID, "volume")
		if err != nil {
			return err
		}
		state := uploadState{From: readFrom{v.ID, v.Host, v.ID, false}}
		if v.Status == InUse {
			state.From.ID, state.From.Copy = copied, true
		}
		out.Image.Project, out.Image.Properties = v.Project, map[string]string{}
		out.Image.describe(v)
		state.Image = out.Image
		err = setStatus(ctx, tx, v.ID, v.Status, Uploading)
		if err != nil {
			return err
		}
		out.Type, err = getType(ctx, tx, Viewer{Admin: true}, v.Type)
		if err != nil {
			return err
		}
		v.Status, v.UpdatedAt = Uploading, db.At(tx.Now())
		out.Volume = v
		_, err = work.Start(ctx, tx, s.uploadPlan(), v.ID, state, who.options(v.Project)...)
		return err
	})
	if err != nil {
		return out, unexpected("upload volume "+id, err)
	}
	// The plan makes the image, too. Who is told its id may look at it at once.
	return out, unexpected("make an image of volume "+id, s.images.CreateImage(ctx, out.Image))
}

// takenOver are the things that an image knows of itself, not by properties.
var takenOver = []string{"image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size"}

// describe gives the image what the volume knows of the one that it was made
// from.
func (i *NewImage) describe(v Volume) {
	i.MinDiskGB = v.SizeGB
	for key, value := range v.ImageMetadata.V {
		if !slices.Contains(takenOver, key) {
			i.Properties[key] = value
		}
	}
	_, _ = fmt.Sscan(v.ImageMetadata.V["min_ram"], &i.MinRAMMB) // none is 0
}

func (s *Service) uploadPlan() work.Plan[uploadState] {
	return work.Plan[uploadState]{
		Name: "volume.upload", Action: "upload", Deadline: bytesDeadline,
		Steps: slices.Concat([]work.Step[uploadState]{
			{Name: "make the image", Do: func(ctx context.Context, state *uploadState) error {
				return s.images.CreateImage(ctx, state.Image)
			}, Undo: func(ctx context.Context, state *uploadState) error {
				return s.images.DeleteImage(ctx, state.Image.ID)
			}},
		}, copySteps(s, func(state *uploadState) readFrom { return state.From }), []work.Step[uploadState]{
			{Name: "upload the bytes", Do: s.uploadBytes},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *uploadState) error {
				err := s.dropCopy(ctx, tx, state.From)
				if err != nil {
					return err
				}
				return freed(ctx, tx, state.From.Volume, Uploading)
			}},
		}),
		Undone: func(ctx context.Context, tx *db.Tx, state *uploadState, cause error) error {
			s.log.Warn("volume was not uploaded", "volume_id", state.From.Volume, "image_id", state.Image.ID, "reason", cause)
			return freed(ctx, tx, state.From.Volume, Uploading)
		},
	}
}

func (s *Service) uploadBytes(ctx context.Context, state *uploadState) error {
	from, err := s.openDisk(ctx, state.From.Host, state.From.ID, false)
	if err != nil {
		return err
	}
	defer from.Close()
	extents, err := from.Extents(0, from.Size())
	if err != nil {
		return err
	}
	out, in := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		var err error
		if state.Image.DiskFormat != "raw" {
			err = layout(from.Size(), extents).write(in, from)
		} else {
			err = writeRaw(in, from, extents)
		}
		in.CloseWithError(err)
	}()
	if slices.Contains(plainFormats, state.Image.DiskFormat) {
		err = s.images.Upload(ctx, state.Image, out)
	} else {
		err = s.uploadConverted(ctx, state.Image, from.Size(), out)
	}
	out.CloseWithError(io.ErrClosedPipe) // nobody reads any more
	<-written
	if errs.Is(err, errs.Conflict) {
		return work.NotYet("waiting until an earlier try to upload the image has ended: %s", sentence(err))
	}
	if err != nil {
		return fmt.Errorf("upload volume %s as image %s: %w", state.From.Volume, state.Image.ID, err)
	}
	return nil
}

// uploadConverted uploads a disk in another format than it comes in, which is
// qcow2.
func (s *Service) uploadConverted(ctx context.Context, image NewImage, size int64, from io.Reader) error {
	dir, err := os.MkdirTemp(s.work, "upload")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
	f, err := os.Create(source)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.converter.Convert(ctx, source, image.DiskFormat, size, target)
	}
	if err != nil {
		return fmt.Errorf("convert to %s: %w", image.DiskFormat, err)
	}
	f, err = os.Open(target)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.images.Upload(ctx, image, f)
}

// writeRaw writes a disk as it is. What holds nothing is not read.
func writeRaw(w io.Writer, disk io.ReaderAt, extents []nbd.Extent) error {
	const most = 1 << 20
	bytes, none := make([]byte, most), make([]byte, most)
	for _, e := range extents {
		for at := int64(0); at < e.Length; at += most {
			part := bytes[:min(most, e.Length-at)]
			if e.Zero {
				part = none[:len(part)]
			} else {
				_, err := disk.ReadAt(part, e.Offset+at)
				if err != nil {
					return err
				}
			}
			_, err := w.Write(part)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
