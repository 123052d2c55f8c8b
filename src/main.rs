//! The `mtask` binary.

use std::env;

use mtask::cli::Arguments;
use mtask::config::{self, Config, Mode, Surroundings};
use mtask::exit::{Status, Unusable};
use mtask::generate;
use mtask::join::Join;
use mtask::run::{hint, print, print_help, refuse, run, say};
use mtask::show::show;

fn main() {
    let status = begin().unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        error.downcast_ref::<Unusable>().map_or(Status::Fault, |unusable| unusable.status)
    });
    status.exit()
}

fn begin() -> anyhow::Result<Status> {
    let arguments = match Arguments::read(env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return Ok(refuse(&error)),
        Err(help) => return print_help(&help),
    };
    if let Some(artifact) = arguments.seen.generate {
        return print(|to| generate::write(artifact, to));
    }
    if let Some(join) = Join::resolve(&arguments)? {
        let joined = join.run(say)?;
        if !arguments.seen.quiet {
            say(&joined.summary);
        }
        return Ok(joined.status);
    }
    let surroundings = Surroundings::look_up();
    let mut config = Config::resolve(arguments, &surroundings)?;
    if config.mode == Mode::DryRun {
        hint(&config);
        return show(config);
    }
    let files = config::files::look_up(&config, rustix::stdio::stdin(), rustix::stdio::stdout());
    let programs = config.launcher.look_up(surroundings.path.as_deref());
    Unusable::worst_of(files, programs)?;
    config::files::take_shard(&mut config)?;
    run(config)
}
