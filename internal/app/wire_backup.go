package app

import (
	"context"
	"io"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// volumeVault is where the backups of volumes are: in objects of their project.
type volumeVault struct{ objects *object.Service }

// markName is the metadata of an object that has its mark.
const markName = "Nacre-Mark"

// within is where a project's object is.
func within(project, container, name string) object.Place {
	return object.Place{Account: "AUTH_" + project, Container: container, Object: name}
}

// PutContainer makes the container exist.
func (a volumeVault) PutContainer(ctx context.Context, project, container string) error {
	_, err := a.objects.PutContainer(ctx, "AUTH_"+project, container, object.ContainerChange{})
	return err
}

// PutObject stores an object with a mark.
func (a volumeVault) PutObject(ctx context.Context, project, container, name, mark string, bytes io.Reader) error {
	o := object.Object{Account: "AUTH_" + project, Container: container, Name: name, ContentType: "application/octet-stream"}
	if mark != "" {
		o.Meta = db.Of(object.Meta{markName: mark})
	}
	_, err := a.objects.Put(ctx, o, nil, bytes)
	return err
}

// Mark is the mark of an object.
func (a volumeVault) Mark(ctx context.Context, project, container, name string) (string, error) {
	o, err := a.objects.Object(ctx, within(project, container, name))
	return o.Meta.V[markName], err
}

// OpenObject reads an object. One that leads to another project's is not there.
func (a volumeVault) OpenObject(ctx context.Context, project, container, name string) (io.ReadCloser, error) {
	p := within(project, container, name)
	_, bytes, err := a.objects.Read(ctx, p, func(account, _ string) error {
		if account != p.Account {
			return errs.NotFoundf("Object %s is another account's.", name)
		}
		return nil
	})
	return bytes, err
}

// ObjectNames are the names of all objects that begin so.
func (a volumeVault) ObjectNames(ctx context.Context, project, container, prefix string) ([]string, error) {
	var names []string
	marker := ""
	for {
		entries, err := a.objects.Objects(ctx, "AUTH_"+project, container, object.Listing{Prefix: prefix, Marker: marker, Limit: 1000})
		if err != nil || len(entries) == 0 {
			return names, err
		}
		for _, e := range entries {
			marker = e.Name
			names = append(names, e.Name)
		}
	}
}

// RemoveObject removes an object.
func (a volumeVault) RemoveObject(ctx context.Context, project, container, name string) error {
	_, err := a.objects.Delete(ctx, within(project, container, name), object.Deletion{})
	if errs.Is(err, errs.NotFound) {
		return nil // its container is gone
	}
	return err
}
