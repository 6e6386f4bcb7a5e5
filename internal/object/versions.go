package object

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// NullVersion is how clients call the version that was written without
// versioning.
const NullVersion = "null"

// MarkerType is the content type that delete markers are listed with.
const MarkerType = "application/x-deleted;swift_versions_deleted=1"

// VersionID is how clients call the version.
func (o Object) VersionID() string {
	if o.Unversioned {
		return NullVersion
	}
	return Stamp(o.Version)
}

// Stamp spells a number of 10 microseconds as Swift's timestamps: seconds with
// five digits.
func Stamp(n int64) string { return fmt.Sprintf("%010d.%05d", n/100_000, n%100_000) }

// ParseStamp reads what Stamp writes.
func ParseStamp(text string) (int64, bool) {
	seconds, rest, ok := strings.Cut(text, ".")
	n, err := strconv.ParseInt(seconds, 10, 40)
	f, fractionErr := strconv.ParseInt(rest, 10, 32)
	if !ok || len(rest) != 5 || err != nil || fractionErr != nil || n < 0 || f < 0 {
		return 0, false
	}
	return n*100_000 + f, true
}

// clause is a piece of a WHERE.
type clause struct {
	sql  string
	args []any
}

// versionIs finds one version of a name.
func versionIs(id string) (clause, error) {
	switch id {
	case "":
		return clause{"latest = 1", nil}, nil
	case NullVersion:
		return clause{"unversioned = 1", nil}, nil
	}
	n, ok := ParseStamp(id)
	if !ok {
		return clause{}, sentence(errs.BadRequest, "Invalid version parameter")
	}
	return clause{"version = ? AND unversioned = 0", []any{n}}, nil
}

// retire takes the latest version of a name out of the way of a new one, as the
// container's versioning wants, and numbers the new one.
func retire(ctx context.Context, tx *db.Tx, c Container, o *Object, t *tally) error {
	old, err := latest(ctx, tx, o.Account, o.Container, o.Name)
	if err != nil {
		return err
	}
	o.Version = tx.Now().UnixMicro() / 10
	if c.Settings.V.Versioning != "" {
		var newest int64
		err = tx.Get(ctx, &newest, `SELECT coalesce(max(version), 0) FROM object_versions
			WHERE account = ? AND container = ? AND name = ?`, o.Account, o.Container, o.Name)
		if err != nil {
			return err
		}
		o.Version = max(o.Version, newest+1)
	}
	if old != nil {
		o.Version = max(o.Version, old.Version+1)
		err = setAside(ctx, tx, c, *old, t)
		if err != nil {
			return err
		}
	}
	if c.Settings.V.Versioning != Suspended {
		return nil
	}
	// What is written now is the null version: there is one at most.
	former, err := lookup(ctx, tx, Place{o.Account, o.Container, o.Name, NullVersion})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return remove(ctx, tx, former, t)
}

func setAside(ctx context.Context, tx *db.Tx, c Container, old Object, t *tally) error {
	switch {
	case c.Settings.V.Archive != "" && old.alive(tx.Now()):
		return archive(ctx, tx, c, old, t)
	case c.Settings.V.Versioning == Enabled, !old.Unversioned:
		return demote(ctx, tx, old, t)
	}
	return remove(ctx, tx, old, t)
}

// demote makes a version history.
func demote(ctx context.Context, tx *db.Tx, o Object, t *tally) error {
	if !o.Marker {
		t.objects--
	}
	_, err := tx.Exec(ctx, "UPDATE object_versions SET latest = 0 WHERE account = ? AND container = ? AND name = ? AND version = ?",
		o.Account, o.Container, o.Name, o.Version)
	return err
}

// promote makes a version the latest. No other may be it.
func promote(ctx context.Context, tx *db.Tx, o Object, t *tally) error {
	if !o.Marker {
		t.objects++
	}
	_, err := tx.Exec(ctx, "UPDATE object_versions SET latest = 1 WHERE account = ? AND container = ? AND name = ? AND version = ?",
		o.Account, o.Container, o.Name, o.Version)
	return err
}

// remove deletes a version and announces its blobs as garbage.
func remove(ctx context.Context, tx *db.Tx, o Object, t *tally) error {
	if o.Latest && !o.Marker {
		t.objects--
	}
	t.bytes -= o.Stored
	_, err := tx.Exec(ctx, "DELETE FROM object_versions WHERE account = ? AND container = ? AND name = ? AND version = ?",
		o.Account, o.Container, o.Name, o.Version)
	if err != nil {
		return err
	}
	return disown(ctx, tx, o.Chunks.V)
}

// drop is remove with the totals.
func drop(ctx context.Context, tx *db.Tx, o Object) error {
	var t tally
	err := remove(ctx, tx, o, &t)
	if err != nil {
		return err
	}
	return count(ctx, tx, o.Account, o.Container, t.objects, t.bytes)
}

// archivePrefix is what the former versions of a name begin with in the
// container that they are moved to: its length in three hex digits, itself, and
// a slash.
func archivePrefix(name string) string { return fmt.Sprintf("%03x%s/", len(name), name) }

// archive moves a version to the container for former ones.
func archive(ctx context.Context, tx *db.Tx, c Container, o Object, t *tally) error {
	to := c.Settings.V.Archive
	moved := o
	moved.Container, moved.Name = to, archivePrefix(o.Name)+Stamp(int64(o.UpdatedAt)/10)
	for {
		other, err := latest(ctx, tx, moved.Account, moved.Container, moved.Name)
		if err != nil {
			return err
		}
		if other == nil {
			break
		}
		moved.UpdatedAt += 10 // written within the same moment
		moved.Name = archivePrefix(o.Name) + Stamp(int64(moved.UpdatedAt)/10)
	}
	err := move(ctx, tx, o, moved)
	if errs.Is(err, errs.NotFound) {
		return sentence(errs.Precondition, "The versions container does not exist")
	}
	t.objects--
	t.bytes -= o.Stored
	return err
}

// move gives a version another place, and counts it there; who calls counts it
// off where it was.
func move(ctx context.Context, tx *db.Tx, o, to Object) error {
	err := count(ctx, tx, to.Account, to.Container, 1, o.Stored)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE object_versions SET container = ?, name = ?, version = ?, latest = 1, unversioned = 1
		WHERE account = ? AND container = ? AND name = ? AND version = ?`,
		to.Container, to.Name, to.Version, o.Account, o.Container, o.Name, o.Version)
	return err
}

// Deletion is how an object is deleted.
type Deletion struct {
	If      Condition
	Promote bool // the version before a deleted one becomes the latest, as in S3
}

// Deleted is what came of a deletion.
type Deleted struct {
	Existed bool
	Version string // that was removed, or of the marker that was made; "" without versions
	Marker  bool   // whether that is a delete marker
	Object  Object // that was deleted, when it existed
}

// Delete removes an object, or the version that the place names. Its bytes go
// with the next sweep.
func (s *Service) Delete(ctx context.Context, p Place, how Deletion) (Deleted, error) {
	var d Deleted
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		d, err = deleteObject(ctx, tx, p, how)
		return err
	})
	if err != nil {
		return Deleted{}, fmt.Errorf("delete object %s/%s/%s: %w", p.Account, p.Container, p.Object, err)
	}
	return d, nil
}

func deleteObject(ctx context.Context, tx *db.Tx, p Place, how Deletion) (Deleted, error) {
	c, err := findContainer(ctx, tx, p.Account, p.Container)
	if err != nil {
		return Deleted{}, err
	}
	old, err := lookup(ctx, tx, p)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return Deleted{}, err
	}
	found := err == nil
	err = nil
	d := Deleted{Existed: found && (p.Version != "" || old.alive(tx.Now())), Object: old}
	if how.If != nil {
		var present *Object
		if d.Existed {
			present = &old
		}
		err = how.If(present)
		if err != nil {
			return Deleted{}, err
		}
	}
	var t tally
	switch {
	case p.Version != "" && found:
		d.Version, d.Marker = old.VersionID(), old.Marker
		err = deleteVersion(ctx, tx, old, how.Promote, &t)
	case p.Version != "":
	case c.Settings.V.Versioning != "":
		var marker Object
		marker, err = mark(ctx, tx, c, p, &t)
		d.Version, d.Marker = marker.VersionID(), true
	case found && c.Settings.V.Archive != "":
		err = deleteArchived(ctx, tx, c, old, &t)
	case found:
		err = remove(ctx, tx, old, &t)
	}
	if err != nil {
		return Deleted{}, err
	}
	return d, count(ctx, tx, p.Account, p.Container, t.objects, t.bytes)
}

func deleteVersion(ctx context.Context, tx *db.Tx, old Object, succeed bool, t *tally) error {
	err := remove(ctx, tx, old, t)
	if err != nil || !succeed || !old.Latest {
		return err
	}
	var before []Object
	err = tx.All(ctx, &before, `SELECT * FROM object_versions WHERE account = ? AND container = ? AND name = ?
		ORDER BY version DESC LIMIT 1`, old.Account, old.Container, old.Name)
	if err != nil || len(before) == 0 {
		return err
	}
	return promote(ctx, tx, before[0], t)
}

// mark puts a delete marker over what is there.
func mark(ctx context.Context, tx *db.Tx, c Container, p Place, t *tally) (Object, error) {
	marker := newMarker(p, tx)
	err := retire(ctx, tx, c, &marker, t)
	if err != nil {
		return Object{}, err
	}
	marker.Unversioned = c.Settings.V.Versioning != Enabled
	return marker, tx.Insert(ctx, &marker)
}

func newMarker(p Place, tx *db.Tx) Object {
	empty := md5.Sum(nil)
	return Object{
		Account: p.Account, Container: p.Container, Name: p.Object, Latest: true, Marker: true, ContentType: MarkerType,
		Etag: hex.EncodeToString(empty[:]), CreatedAt: db.At(tx.Now()), UpdatedAt: db.At(tx.Now()),
	}
}

// deleteArchived deletes where former versions are in a container of their own:
// with history, this one joins them below a marker; else the last of them comes
// back.
func deleteArchived(ctx context.Context, tx *db.Tx, c Container, old Object, t *tally) error {
	to, prefix := c.Settings.V.Archive, archivePrefix(old.Name)
	if c.Settings.V.History {
		err := archive(ctx, tx, c, old, t)
		if err != nil {
			return err
		}
		at := max(tx.Now().UnixMicro()/10, int64(old.UpdatedAt)/10+1)
		marker := newMarker(Place{old.Account, to, prefix + Stamp(at), ""}, tx)
		// There it is an object like any other, for people to see.
		marker.Marker, marker.Unversioned, marker.Version = false, true, at
		err = tx.Insert(ctx, &marker)
		if err != nil {
			return err
		}
		return count(ctx, tx, marker.Account, to, 1, 0)
	}
	err := remove(ctx, tx, old, t)
	if err != nil {
		return err
	}
	var former []Object
	err = tx.All(ctx, &former, `SELECT * FROM object_versions WHERE account = ? AND container = ? AND latest = 1 AND marker = 0
		AND name > ? AND name < ? ORDER BY name DESC LIMIT 1`, old.Account, to, prefix, after(prefix))
	if err != nil || len(former) == 0 {
		return err
	}
	back := former[0]
	back.Container, back.Name, back.Version = old.Container, old.Name, max(tx.Now().UnixMicro()/10, old.Version+1)
	err = move(ctx, tx, former[0], back)
	if err != nil {
		return err
	}
	return count(ctx, tx, old.Account, to, -1, -back.Stored)
}

// Restore makes a former version the latest one again.
func (s *Service) Restore(ctx context.Context, p Place) (Object, error) {
	var o Object
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		o, err = find(ctx, tx, p, tx.Now())
		if err != nil || o.Latest {
			return err
		}
		var t tally
		old, err := latest(ctx, tx, p.Account, p.Container, p.Object)
		if err != nil {
			return err
		}
		if old != nil {
			err = demote(ctx, tx, *old, &t)
			if err != nil {
				return err
			}
		}
		err = promote(ctx, tx, o, &t)
		if err != nil {
			return err
		}
		return count(ctx, tx, p.Account, p.Container, t.objects, t.bytes)
	})
	if err != nil {
		return Object{}, fmt.Errorf("restore object %s/%s/%s: %w", p.Account, p.Container, p.Object, err)
	}
	return o, nil
}
