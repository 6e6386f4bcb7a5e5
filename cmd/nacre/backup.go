package main

import (
	"github.com/spf13/cobra"

	"nacre/internal/app"
)

// stored are the flags of commands that work on what a cloud has stored.
func stored(c *cobra.Command, dataDir *string) (config func() (app.Config, error)) {
	var flags app.Config
	var file string
	c.Flags().StringVar(&flags.DB, "db", "", "database: postgres://USER@HOST/NAME, or an SQLite file (default: in the data folder)")
	c.Flags().StringVar(&flags.Blobs, "blobs", "", "folder with the bytes of images and objects (default: blobs in the data folder)")
	c.Flags().StringVar(&flags.KeyFile, "key-file", "", "keys that seal the cloud's secrets (default: credential-keys in the data folder)")
	c.Flags().StringVar(&file, "config", "", "YAML file with settings; flags win over NACRE_* variables, these over the file")
	return func() (app.Config, error) {
		flags.DataDir = *dataDir
		return settings(c, flags, file)
	}
}

func adminBackup(dataDir *string) *cobra.Command {
	var config func() (app.Config, error)
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the cloud into one file, while it runs",
		Long: `Write the cloud into one file: its database as it is at one moment, the bytes of
all images and objects, and its keys. The cloud may run meanwhile, on SQLite or on
PostgreSQL; nobody has to wait.

  nacre admin backup --data-dir /var/lib/nacre /backup/monday.zip

The file is all that "nacre admin restore" needs, on either database. Whoever has
it has the cloud's keys and password hashes: keep it where nobody reads it. The
disks of guests and volumes are not in it; they stay on their hosts.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			loaded, err := config()
			if err != nil {
				return err
			}
			return app.Backup(c.Context(), loaded, args[0], c.OutOrStdout())
		},
	}
	config = stored(c, dataDir)
	return c
}

func adminRestore(dataDir *string) *cobra.Command {
	var config func() (app.Config, error)
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a cloud of a backup, in an empty folder and database",
		Long: `Make a cloud of a file that "nacre admin backup" wrote, in a data folder and a
database that have none yet. It need not be the same kind of database:

  nacre admin restore --data-dir /var/lib/nacre /backup/monday.zip
  nacre admin restore --data-dir /var/lib/nacre --db postgres://nacre@db/nacre /backup/monday.zip

Then start the cloud as before. What happened since the backup is forgotten: hosts
are told to make their guests and networks as the backup has them, and guests that
it does not know are removed. Stop the old cloud first, should it still run: hosts
obey only one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			loaded, err := config()
			if err != nil {
				return err
			}
			return app.Restore(c.Context(), loaded, args[0], c.OutOrStdout())
		},
	}
	config = stored(c, dataDir)
	return c
}

func adminMove(dataDir *string) *cobra.Command {
	var config func() (app.Config, error)
	c := &cobra.Command{
		Use:   "move DATABASE",
		Short: "Move a stopped cloud to another database, such as from SQLite to PostgreSQL",
		Long: `Copy everything in the cloud's database into an empty one, and have the cloud use
that one from now on. It works in either direction. The cloud must be stopped; its
guests keep running.

  sudo -u postgres createuser nacre
  sudo -u postgres createdb --owner nacre --encoding UTF8 --template template0 nacre
  nacre down
  nacre admin move --data-dir /var/lib/nacre postgres://nacre@localhost/nacre
  nacre up --detach

The next start finds the new database by itself: its name is in the file "database"
of the data folder. The old one stays as it was.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			loaded, err := config()
			if err != nil {
				return err
			}
			return app.Move(c.Context(), loaded, args[0], c.OutOrStdout())
		},
	}
	config = stored(c, dataDir)
	return c
}
