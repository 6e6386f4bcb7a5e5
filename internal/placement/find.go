package placement

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Need is what a provider must have to be found. Every part is optional.
type Need struct {
	Name      string
	ID        string
	InTree    string     // any member of the tree
	Resources Resources  // room for these amounts
	Required  [][]string // of each list, one trait
	Forbidden []string   // traits
	MemberOf  [][]string // of each list, one aggregate
	Outside   []string   // aggregates it must not be in
}

// Found is a provider with all that is known of it.
type Found = Change

// Find returns the providers that meet the need, by id, with what they have.
func (s *Service) Find(ctx context.Context, need Need) ([]Found, error) {
	var all []Found
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := knownNames(ctx, tx, "Invalid trait(s) in \"required\" parameter: ",
			append(slices.Concat(need.Required...), need.Forbidden...), slices.Collect(maps.Keys(need.Resources)))
		if err != nil {
			return err
		}
		all, err = changes(ctx, tx, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find providers: %w", err)
	}
	tree := ""
	for _, f := range all {
		if f.Provider.ID == need.InTree {
			tree = f.Provider.Root
		}
	}
	found := []Found{}
	for _, f := range all {
		if need.InTree != "" && (tree == "" || f.Provider.Root != tree) {
			continue
		}
		if need.met(f) {
			found = append(found, f)
		}
	}
	return found, nil
}

func (n Need) met(f Found) bool {
	if (n.Name != "" && f.Provider.Name != n.Name) || (n.ID != "" && f.Provider.ID != n.ID) {
		return false
	}
	if !hasOneOfEach(f.Traits, n.Required) || meets(f.Traits, n.Forbidden) {
		return false
	}
	if !hasOneOfEach(f.Aggregates, n.MemberOf) || meets(f.Aggregates, n.Outside) {
		return false
	}
	for class, amount := range n.Resources {
		i, has := f.Inventories[class]
		if !has || i.fits(amount) != "" {
			return false
		}
	}
	return true
}

func hasOneOfEach(have []string, lists [][]string) bool {
	for _, list := range lists {
		if !meets(have, list) {
			return false
		}
	}
	return true
}

func hasAll(have, list []string) bool {
	return !slices.ContainsFunc(list, func(name string) bool { return !slices.Contains(have, name) })
}

func meets(have, list []string) bool {
	return slices.ContainsFunc(list, func(name string) bool { return slices.Contains(have, name) })
}

// Usage sums what consumers of a project, or one user of it, have taken, by
// consumer type and class. Counts is how many consumers there are of each type.
func (s *Service) Usage(ctx context.Context, project, user, kind string) (used map[string]Resources, counts map[string]int64, err error) {
	used, counts = map[string]Resources{}, map[string]int64{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		where, args := "c.project = ?", []any{project}
		if user != "" {
			where, args = where+" AND c.user_id = ?", append(args, user)
		}
		if kind != "" && kind != "all" {
			where, args = where+" AND c.type = ?", append(args, kind)
		}
		var rows []struct {
			Type, Class string
			Used        int64
		}
		err := tx.All(ctx, &rows, `
			SELECT c.type, a.class, SUM(a.used) AS used FROM consumers c JOIN allocations a ON a.consumer = c.id
			WHERE `+where+` GROUP BY c.type, a.class`, args...)
		if err != nil {
			return fmt.Errorf("sum usage: %w", err)
		}
		for _, r := range rows {
			if used[r.Type] == nil {
				used[r.Type] = Resources{}
			}
			used[r.Type][r.Class] = r.Used
		}
		var numbers []struct {
			Type string
			N    int64
		}
		err = tx.All(ctx, &numbers, "SELECT c.type, COUNT(*) AS n FROM consumers c WHERE "+where+" GROUP BY c.type", args...)
		for _, r := range numbers {
			counts[r.Type] = r.N
		}
		return err
	})
	return used, counts, err
}

// Traits lists all traits that are known; used keeps those that a provider has.
func (s *Service) Traits(ctx context.Context, used bool) ([]string, error) {
	list := []string{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		if used {
			return tx.All(ctx, &list, "SELECT DISTINCT trait FROM provider_traits ORDER BY trait")
		}
		return tx.All(ctx, &list, "SELECT name FROM custom_traits ORDER BY name")
	})
	if err != nil {
		return nil, fmt.Errorf("list traits: %w", err)
	}
	if !used {
		list = append(slices.Clone(standardTraits), list...)
		slices.Sort(list)
	}
	return list, nil
}

// Trait is an error when the trait is not known.
func (s *Service) Trait(ctx context.Context, name string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error { return knownTrait(ctx, tx, name) })
}

// AddTrait makes a custom trait known and tells whether it is new.
func (s *Service) AddTrait(ctx context.Context, name string) (added bool, err error) {
	if !customName.MatchString(name) || len(name) > 255 {
		return false, errs.BadRequestf("The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix \"CUSTOM_\" and use following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"")
	}
	return s.addName(ctx, "custom_traits", name)
}

func (s *Service) addName(ctx context.Context, table, name string) (added bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO "+table+" (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, db.At(s.clock.Now()))
		added = n > 0
		return err
	})
	return added, err
}

// DeleteTrait forgets a custom trait that no provider has.
func (s *Service) DeleteTrait(ctx context.Context, name string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if standardTrait(name) {
			return errs.BadRequestf("Cannot delete standard trait %s.", name)
		}
		return deleteName(ctx, tx, "custom_traits", name,
			"SELECT COUNT(*) FROM provider_traits WHERE trait = ?",
			errs.NotFoundf("%s", noTraits([]string{name})), errs.Conflictf("The trait %s is in use by a resource provider.", name))
	})
}

func deleteName(ctx context.Context, tx *db.Tx, table, name, users string, missing, inUse error) error {
	var n int
	err := tx.Get(ctx, &n, users, name)
	if err != nil {
		return fmt.Errorf("look for users of %s: %w", name, err)
	}
	if n > 0 {
		return inUse
	}
	gone, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE name = ?", name)
	if err == nil && gone == 0 {
		return missing
	}
	return err
}

// Classes lists all resource classes that are known.
func (s *Service) Classes(ctx context.Context) ([]string, error) {
	var custom []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &custom, "SELECT name FROM custom_classes ORDER BY name")
	})
	if err != nil {
		return nil, fmt.Errorf("list resource classes: %w", err)
	}
	return append(slices.Clone(standardClasses), custom...), nil
}

// Class is an error when the resource class is not known.
func (s *Service) Class(ctx context.Context, name string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error { return knownClass(ctx, tx, name) })
}

// AddClass makes a custom resource class known and tells whether it is new.
func (s *Service) AddClass(ctx context.Context, name string) (added bool, err error) {
	if !customName.MatchString(name) || len(name) > 255 {
		return false, errs.BadRequestf("JSON does not validate: '%s' does not match '^CUSTOM\\_[A-Z0-9_]+$'", name)
	}
	return s.addName(ctx, "custom_classes", name)
}

// RenameClass gives a custom resource class another name, with all that is of it.
func (s *Service) RenameClass(ctx context.Context, name, to string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		err := knownClass(ctx, tx, name)
		if err != nil {
			return err
		}
		if slices.Contains(standardClasses, name) {
			return errs.BadRequestf("Cannot update standard resource class %s", name)
		}
		if to == name {
			return nil
		}
		n, err := tx.Exec(ctx, "INSERT INTO custom_classes (name, created_at) SELECT ?, created_at FROM custom_classes WHERE name = ? ON CONFLICT (name) DO NOTHING", to, name)
		if err != nil {
			return fmt.Errorf("rename resource class %s: %w", name, err)
		}
		if n == 0 {
			return errs.Conflictf("Resource class already exists: %s", to)
		}
		var has []string
		err = tx.All(ctx, &has, "SELECT provider FROM inventories WHERE class = ? ORDER BY provider", name)
		if err != nil {
			return fmt.Errorf("look for resource class %s: %w", name, err)
		}
		for _, change := range []string{"UPDATE inventories SET class = ? WHERE class = ?", "UPDATE allocations SET class = ? WHERE class = ?"} {
			_, err = tx.Exec(ctx, change, to, name)
			if err != nil {
				return fmt.Errorf("rename resource class %s: %w", name, err)
			}
		}
		_, err = tx.Exec(ctx, "DELETE FROM custom_classes WHERE name = ?", name)
		if err != nil {
			return fmt.Errorf("rename resource class %s: %w", name, err)
		}
		return s.tellAfter(ctx, tx, false, has...)
	})
}

// DeleteClass forgets a custom resource class that nobody has.
func (s *Service) DeleteClass(ctx context.Context, name string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if slices.Contains(standardClasses, name) {
			return errs.BadRequestf("Error in delete resource class: Cannot delete standard resource class %s.", name)
		}
		return deleteName(ctx, tx, "custom_classes", name,
			"SELECT COUNT(*) FROM inventories WHERE class = ?",
			errs.NotFoundf("No such resource class %s.", name), errs.Conflictf("Error in delete resource class: Cannot delete resource class %s. Class is in use in inventory.", name))
	})
}
