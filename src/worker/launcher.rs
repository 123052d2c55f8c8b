//! How the processes of workers are started: what each runs, in which environment, and by whom.
//!
//! Owns all that is different where workers are started in another way: the words and the variables
//! of each process ([`Launcher::program`]), what must be there before a run begins
//! ([`Launcher::look_up`]), and the process itself ([`Launcher::start`]), a [`Child`] whose signals
//! reach all that was started with it. There is one way, as children of mtask. Always: a dry run
//! shows what is started, for both ask here.
//!
//! Ends that are the launcher's own, and no record's: [`ExitStatus::NotStarted`], and before
//! COMMAND is ready those that [`Exit::says_unrunnable`] knows.
//!
//! [`Child`]: super::child::Child
//! [`ExitStatus::NotStarted`]: crate::outcome::ExitStatus::NotStarted
//! [`Exit::says_unrunnable`]: crate::outcome::Exit::says_unrunnable

use std::ffi::{OsStr, OsString};
use std::io;

use super::command::WorkerCommand;
use super::each::{EachCommand, RecordPlace};
use super::lookup;
use super::machine::Machine;
use super::process::{Stdin, SystemProcess};
use crate::exit::Unusable;
use crate::record::{OwnRecord, Separator};
use crate::shape::Protocol;
use crate::sys;
use crate::sys::spawn::{Program, Variable};

/// Starts the processes of all workers.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// What each worker runs, in the order of their numbers.
    commands: Vec<WorkerCommand>,
    /// How records and answers travel, which workers are told.
    protocol: Protocol,
    python_unbuffered: PythonUnbuffered,
    machine: Machine,
    /// What is started for a record each, where that is so.
    each: Option<Each>,
}

/// How processes are started for a record each.
#[derive(Clone, Debug)]
pub struct Each {
    /// What each worker's processes run, in the order of their numbers.
    pub commands: Vec<EachCommand>,
    /// How the record reaches them.
    pub place: RecordPlace,
    /// What ends a record.
    pub separator: Separator,
}

/// Why a process could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The system refuses it.
    System(io::Error),
    /// The record that it is to be started for is at fault.
    Record(String),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Whether PYTHONUNBUFFERED stands in mtask's own environment, which workers inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PythonUnbuffered {
    /// It does, be it empty: the user has decided.
    Inherited,
    /// It does not, and is set for workers.
    Absent,
}

impl Launcher {
    /// Starts them as children of mtask, each worker its one of `commands`, with its part of the
    /// machine.
    pub fn local(
        commands: Vec<WorkerCommand>,
        protocol: Protocol,
        python_unbuffered: PythonUnbuffered,
        machine: Machine,
    ) -> Self {
        Self {
            commands,
            protocol,
            python_unbuffered,
            machine,
            each: None,
        }
    }

    /// The same, a process for each record.
    pub fn each(each: Each, machine: Machine) -> Self {
        let commands = each.commands.iter().map(EachCommand::known).collect();
        let python = PythonUnbuffered::Inherited;
        Self {
            each: Some(each),
            ..Self::local(commands, Protocol::Lines, python, machine)
        }
    }

    /// How the machine is dealt out.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.commands.len()
    }

    /// Finds what is to be started, before anything is.
    ///
    /// # Errors
    /// Those of [`lookup::look_up`].
    pub fn look_up(&self, path: Option<&OsStr>) -> Result<(), Unusable> {
        let mut programs: Vec<_> = self.commands.iter().map(|command| &command.program).collect();
        // One that the record names is not known yet.
        programs.retain(|program| self.each.is_none() || !program.is_empty());
        // Workers seldom differ in more than their arguments.
        programs.dedup();
        programs.into_iter().try_for_each(|program| lookup::look_up(program, path).map(drop))
    }

    /// What a worker's process of this number is, where so many workers share the machine.
    pub fn program(&self, worker: usize, number: u32, crew: usize) -> Program {
        let command = &self.commands[worker];
        Program {
            name: command.program.clone(),
            args: command.args.clone(),
            variables: self.variables(worker, number, crew),
            cpus: self.machine.pins.of(worker, crew).to_vec(),
        }
    }

    /// The same of a process that is started for this record.
    ///
    /// # Errors
    /// Why none can be.
    pub fn program_for(
        &self,
        own: &OwnRecord,
        worker: usize,
        number: u32,
        crew: usize,
    ) -> Result<Program, String> {
        let each = self.each.as_ref().expect("records have processes of their own");
        let record = own.bytes.strip_suffix(&[each.separator.byte()]).unwrap_or(&own.bytes);
        let mut words = each.commands[worker].words(record, own.index)?.into_iter();
        let mut variables = self.variables(worker, number, crew);
        let set = |name, value: String| Variable {
            name,
            value: value.into(),
        };
        variables.push(set("MTASK_INDEX", own.index.to_string()));
        variables.push(set("MTASK_ATTEMPT", own.attempt.0.to_string()));
        let name = words.next().unwrap_or_default();
        Ok(Program {
            name,
            args: words.collect(),
            variables,
            cpus: self.machine.pins.of(worker, crew).to_vec(),
        })
    }

    /// Starts a worker's process of this number, where so many workers share the machine, and for this
    /// record where each has one.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        &self,
        worker: usize,
        number: u32,
        crew: usize,
        own: Option<&OwnRecord>,
    ) -> Result<SystemProcess, StartError> {
        let (Some(own), Some(each)) = (own, &self.each) else {
            let program = self.program(worker, number, crew);
            return Ok(SystemProcess::start(program, Stdin::Open)?);
        };
        let program = self.program_for(own, worker, number, crew).map_err(StartError::Record)?;
        let stdin = match (each.place, each.separator) {
            (RecordPlace::Argument, _) => Stdin::Nothing,
            (RecordPlace::Stdin, Separator::Newline) => Stdin::Record(own.bytes.clone()),
            (RecordPlace::Stdin, Separator::Nul) => {
                Stdin::Record(own.bytes.part(0..own.bytes.len() - 1))
            }
        };
        SystemProcess::start(program, stdin).map_err(|error| match is_want(&error) {
            true => StartError::System(error),
            false => StartError::Record(format!("no process can be started for it: {error}")),
        })
    }

    fn protocol_version(&self) -> &'static str {
        match self.each {
            Some(_) => "each/1",
            None => self.protocol.version(),
        }
    }

    /// What a process is told in its environment.
    fn variables(&self, worker: usize, number: u32, crew: usize) -> Vec<Variable> {
        let arg = self.commands[worker].arg.as_deref().unwrap_or_default();
        let set = |name, value: OsString| Variable { name, value };
        let mut variables = vec![
            set("MTASK_WORKER", worker.to_string().into()),
            set("MTASK_WORKERS", self.workers().to_string().into()),
            set("MTASK_PROCESS", number.to_string().into()),
            set("MTASK_ARG", arg.into()),
            set("MTASK_PROTOCOL", self.protocol_version().into()),
        ];
        if self.python_unbuffered == PythonUnbuffered::Absent {
            variables.push(set("PYTHONUNBUFFERED", "1".into()));
        }
        variables.extend(self.machine.variables(worker, crew));
        variables
    }
}

/// Whether the system lacks something, which it may have again.
fn is_want(error: &io::Error) -> bool {
    sys::limit(error).is_some()
        || matches!(
            error.raw_os_error(),
            Some(libc::ENFILE | libc::ENOMEM | libc::ETXTBSY)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that set the variables of a process, those of PYTHONUNBUFFERED and of init
    /// arguments as they are given here.
    fn variables(python: PythonUnbuffered, args: [Option<&str>; 4]) -> Vec<OsString> {
        let command = |arg: Option<&str>| WorkerCommand {
            program: "x".into(),
            args: vec![],
            arg: arg.map(str::to_owned),
        };
        let launcher = Launcher::local(
            args.map(command).into(),
            Protocol::Lines,
            python,
            Machine::default(),
        );
        launcher.program(2, 1, 4).variables.iter().map(Variable::word).collect()
    }

    #[test]
    fn a_process_is_told_its_place() {
        let args = [None, None, Some("k=v"), None];
        let expected = [
            "MTASK_WORKER=2",
            "MTASK_WORKERS=4",
            "MTASK_PROCESS=1",
            "MTASK_ARG=k=v",
            "MTASK_PROTOCOL=lines/1",
            "PYTHONUNBUFFERED=1",
        ];
        assert_eq!(variables(PythonUnbuffered::Absent, args), expected);
        assert_eq!(variables(PythonUnbuffered::Inherited, args), expected[..5]);
        assert_eq!(
            variables(PythonUnbuffered::Absent, [None; 4])[3],
            "MTASK_ARG="
        );
    }

    #[test]
    fn a_program_that_one_worker_alone_runs_is_looked_up_too() {
        let command = |program: &str| WorkerCommand {
            program: program.into(),
            args: vec![],
            arg: None,
        };
        let look_up = |last| {
            let commands = ["sh", "sh", last].map(command).into();
            let machine = Machine::default();
            Launcher::local(commands, Protocol::Lines, PythonUnbuffered::Absent, machine)
                .look_up(None)
        };
        assert!(look_up("sh").is_ok());
        assert!(look_up("/no/such/program").is_err());
    }
}
