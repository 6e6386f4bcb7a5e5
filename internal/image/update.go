package image

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Limits of what may hang on one image, Glance's defaults.
const (
	MaxProperties = 128
	MaxTags       = 128
)

// Op is what one step of an update does.
type Op int

// The steps of an update.
const (
	Replace Op = iota // a value that is there
	Add               // a value, whether one is there or not
	Insert            // a value where none is
	Remove            // a property
)

// Change is one step of an update, to an attribute or a property.
type Change struct {
	Op    Op
	Name  string
	Value any // string, bool, int64, []string, or nil for null: as the attribute has it
}

// Update changes an image: all steps or none.
func (s *Service) Update(ctx context.Context, id string, changes []Change) (Image, error) {
	return s.change(ctx, id, func(i *Image) error {
		i.Properties = db.Of(maps.Clone(i.Properties.V))
		for _, c := range changes {
			err := i.apply(c)
			if err != nil {
				return err
			}
		}
		return i.check()
	})
}

// AddTag puts a tag on an image that may have it already.
func (s *Service) AddTag(ctx context.Context, id, tag string) error {
	_, err := s.change(ctx, id, func(i *Image) error {
		i.Tags = db.Of(unique(append(slices.Clone(i.Tags.V), tag)))
		return i.check()
	})
	return err
}

// RemoveTag takes a tag off an image that has it.
func (s *Service) RemoveTag(ctx context.Context, id, tag string) error {
	_, err := s.change(ctx, id, func(i *Image) error {
		at := slices.Index(i.Tags.V, tag)
		if at < 0 {
			return errs.NotFoundf("The resource could not be found.")
		}
		i.Tags = db.Of(slices.Delete(slices.Clone(i.Tags.V), at, at+1))
		return nil
	})
	return err
}

// Deactivate keeps the bytes of an image from all but administrators.
func (s *Service) Deactivate(ctx context.Context, id string) error {
	return s.move(ctx, id, "deactivate", Active, Deactivated)
}

// Reactivate takes a deactivation back.
func (s *Service) Reactivate(ctx context.Context, id string) error {
	return s.move(ctx, id, "reactivate", Deactivated, Active)
}

// move changes the status; an image that has the new one already stays as it is.
func (s *Service) move(ctx context.Context, id, verb, from, to string) error {
	_, err := s.change(ctx, id, func(i *Image) error {
		if i.Status != from && i.Status != to {
			return errs.Forbiddenf("Not allowed to %s image in status '%s'", verb, i.Status)
		}
		i.Status = to
		return nil
	})
	return err
}

// change reads, changes and writes an image in one transaction. It writes what
// clients may change, and leaves alone what an upload writes.
func (s *Service) change(ctx context.Context, id string, do func(i *Image) error) (Image, error) {
	var image Image
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, id)
		if err != nil {
			return err
		}
		read := image.Generation
		err = do(&image)
		if err != nil {
			return err
		}
		image.Generation, image.UpdatedAt = read+1, db.At(tx.Now())
		n, err := tx.UpdateAt(ctx, &image, read, "name", "owner", "visibility", "status", "disk_format", "container_format",
			"min_disk", "min_ram", "protected", "hidden", "properties", "tags", "stores", "generation", "updated_at")
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.Conflictf("Image %s changed while the request was handled.", id)
		}
		return emit(ctx, tx, "image.update", image)
	})
	if err != nil {
		return Image{}, fmt.Errorf("change image %s: %w", id, err)
	}
	return image, nil
}

// check holds an image against the limits that no schema says.
func (i Image) check() error {
	switch {
	case len(i.Properties.V) > MaxProperties:
		return errs.TooLargef("The limit has been exceeded on the number of allowed image properties. Attempted: %d, Maximum: %d",
			len(i.Properties.V), MaxProperties)
	case len(i.Tags.V) > MaxTags:
		return errs.TooLargef("The limit has been exceeded on the number of allowed image tags. Attempted: %d, Maximum: %d",
			len(i.Tags.V), MaxTags)
	case i.MinDisk < 0:
		return errs.BadRequestf("Invalid value '%d' for parameter 'min_disk': Cannot be a negative value", i.MinDisk)
	case i.MinRAM < 0:
		return errs.BadRequestf("Invalid value '%d' for parameter 'min_ram': Cannot be a negative value", i.MinRAM)
	}
	return nil
}

// apply takes one step.
func (i *Image) apply(c Change) error {
	set, isAttribute := attributes[c.Name]
	_, isProperty := i.Properties.V[c.Name]
	switch {
	case c.Op == Remove && isAttribute:
		return errs.Forbiddenf("Property %s may not be removed.", c.Name)
	case (c.Op == Remove || c.Op == Replace) && !isAttribute && !isProperty:
		return errs.Conflictf("Property %s does not exist.", c.Name)
	case c.Op == Insert && (isAttribute || isProperty):
		return errs.Conflictf("Property %s already present.", c.Name)
	case c.Op == Remove:
		delete(i.Properties.V, c.Name)
		return nil
	case isAttribute:
		return set(i, c.Value)
	}
	if i.Properties.V == nil {
		i.Properties.V = map[string]string{}
	}
	text, ok := c.Value.(string)
	if !ok {
		return errs.BadRequestf("The value of property %s is not a string.", c.Name)
	}
	i.Properties.V[c.Name] = text
	return nil
}

// attributes set what is no property. The values have the types of the schema.
var attributes = map[string]func(i *Image, value any) error{
	"name":       func(i *Image, value any) error { return take(&i.Name, value) },
	"owner":      func(i *Image, value any) error { return take(&i.Owner, value) },
	"visibility": func(i *Image, value any) error { return take(&i.Visibility, value) },
	"protected":  func(i *Image, value any) error { return take(&i.Protected, value) },
	"os_hidden":  func(i *Image, value any) error { return take(&i.Hidden, value) },
	"min_disk":   func(i *Image, value any) error { return take(&i.MinDisk, value) },
	"min_ram":    func(i *Image, value any) error { return take(&i.MinRAM, value) },
	"tags": func(i *Image, value any) error {
		var tags []string
		err := take(&tags, value)
		i.Tags = db.Of(unique(tags))
		return err
	},
	"disk_format": func(i *Image, value any) error {
		return i.format(&i.DiskFormat, "disk_format", value)
	},
	"container_format": func(i *Image, value any) error {
		return i.format(&i.ContainerFormat, "container_format", value)
	},
}

// format sets what the bytes will be, which ends when they are there.
func (i *Image) format(into *string, name string, value any) error {
	if i.Status != Queued {
		return errs.Forbiddenf("Attribute %s can be only replaced for a queued image.", name)
	}
	return take(into, value)
}

// take sets an attribute; null is its zero value.
func take[T any](into *T, value any) error {
	var zero T
	*into = zero
	if value == nil {
		return nil
	}
	typed, ok := value.(T)
	if !ok {
		return errs.BadRequestf("The value %v is not of the type that the attribute has.", value)
	}
	*into = typed
	return nil
}
