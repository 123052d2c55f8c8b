//! Which GPUs there are, and what tells a process which one is its own.
//!
//! Owns where they are looked for. A GPU is a word of CUDA_VISIBLE_DEVICES: its number, or its name or
//! that of a part of it (`GPU-…`, `MIG-…`).

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys::spawn::Variable;

/// What is asked for (`--gpus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuChoice {
    /// All that there are.
    All,
    /// These.
    Listed(Vec<String>),
}

/// What CUDA heeds, and programs for it ask.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// The same of AMD's HIP.
const VISIBLE_TO_HIP: &str = "HIP_VISIBLE_DEVICES";
/// Whether numbers follow the bus, as those of nvidia-smi do, or speed.
pub const ORDER: &str = "CUDA_DEVICE_ORDER";
/// Where the driver shows its GPUs.
const DRIVER: &str = "/proc/driver/nvidia/gpus";
/// nvidia-smi is slow where the driver sleeps, and never comes back where that is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// The GPUs of a run, dealt out to workers in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpus {
    /// None where they are left alone.
    pub names: Vec<String>,
    /// Whether the user has said what numbers mean.
    pub order: DeviceOrder,
}

/// Whether CUDA_DEVICE_ORDER stands in mtask's own environment, which workers inherit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceOrder {
    /// It does: the user has decided.
    Inherited,
    /// It does not, and is set for workers.
    #[default]
    Absent,
}

impl Gpus {
    /// That of a worker, if they are dealt out.
    pub fn of(&self, worker: usize) -> Option<&str> {
        let turn = worker.checked_rem(self.names.len())?;
        Some(&self.names[turn])
    }

    /// What a worker's process finds in its environment.
    pub fn variables(&self, worker: usize) -> Vec<Variable> {
        let Some(gpu) = self.of(worker) else {
            return Vec::new();
        };
        let set = |name, value: &str| Variable {
            name,
            value: value.into(),
        };
        let mut variables = vec![set(VISIBLE, gpu), set(VISIBLE_TO_HIP, gpu)];
        if self.order == DeviceOrder::Absent {
            variables.push(set(ORDER, "PCI_BUS_ID"));
        }
        variables
    }
}

/// All that mtask may use: those that CUDA_VISIBLE_DEVICES names where it is set, as batch systems do,
/// else those of nvidia-smi, else those of the driver.
///
/// # Errors
/// Where there is none: a fragment that says where it was looked for.
pub fn find() -> Result<Vec<String>, String> {
    if let Some(visible) = std::env::var_os(VISIBLE) {
        return visible_in(visible);
    }
    let smi = match list().map(|list| listed_in(&list)) {
        Ok(gpus) if !gpus.is_empty() => return Ok(gpus),
        Ok(_) => "nvidia-smi names none".to_owned(),
        Err(why) => why,
    };
    let driver = fs::read_dir(DRIVER).map(|entries| entries.flatten().count());
    let driver = match driver {
        Ok(count @ 1..) => return Ok((0..count).map(|number| number.to_string()).collect()),
        Ok(_) => format!("{DRIVER} is empty"),
        Err(_) => format!("there is no {DRIVER}"),
    };
    Err(format!("{VISIBLE} is not set, {smi}, and {driver}"))
}

/// What CUDA takes of this value: it stops at the first word that is no GPU, as are `-1` and the
/// `NoDevFiles` of batch systems.
fn visible_in(visible: OsString) -> Result<Vec<String>, String> {
    let text = visible.to_string_lossy();
    let mut gpus: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim).take_while(|word| is_gpu(word)) {
        if !gpus.iter().any(|earlier| earlier == word) {
            gpus.push(word.to_owned());
        }
    }
    match gpus.is_empty() {
        true => Err(format!("{VISIBLE} is set to {text:?}, which names none")),
        false => Ok(gpus),
    }
}

fn is_gpu(word: &str) -> bool {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    is_number || word.starts_with("GPU-") || word.starts_with("MIG-")
}

/// What `nvidia-smi -L` says.
fn list() -> Result<String, String> {
    let mut child = match (Command::new("nvidia-smi").arg("-L"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("there is no nvidia-smi".into());
        }
        Err(error) => return Err(format!("nvidia-smi cannot be run: {error}")),
        Ok(child) => child,
    };
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                return Err(format!(
                    "nvidia-smi said nothing for {} s",
                    PATIENCE.as_secs()
                ));
            }
        }
    };
    if !status.success() {
        return Err(format!("nvidia-smi failed: {status}"));
    }
    // It says far less than a pipe holds.
    let mut text = Vec::new();
    let read = child.stdout.take().map(|mut stdout| stdout.read_to_end(&mut text));
    match read {
        Some(Ok(_)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        _ => Err("nvidia-smi cannot be read".into()),
    }
}

/// The GPUs of such a list, or their parts where they are parted: a process can use but one of those.
fn listed_in(list: &str) -> Vec<String> {
    let mut gpus: Vec<String> = Vec::new();
    let mut whole = None;
    for line in list.lines() {
        if let Some((number, _)) = line.strip_prefix("GPU ").and_then(|rest| rest.split_once(':')) {
            gpus.extend(whole.replace(number.trim().to_owned()));
        } else if let Some(place) = line.find("MIG-") {
            whole = None;
            let name = line[place..].trim_end_matches(|c: char| c == ')' || c.is_whitespace());
            gpus.push(name.to_owned());
        }
    }
    gpus.extend(whole);
    gpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_are_read_as_cuda_reads_them() {
        for (text, expected) in [
            ("0", vec!["0"]),
            ("2,0", vec!["2", "0"]),
            (" 1 , 3", vec!["1", "3"]),
            ("0,1,-1,2", vec!["0", "1"]),
            ("0,0,1", vec!["0", "1"]),
            ("GPU-8932f937", vec!["GPU-8932f937"]),
            (
                "MIG-GPU-8932f937/1/0,MIG-41b3",
                vec!["MIG-GPU-8932f937/1/0", "MIG-41b3"],
            ),
        ] {
            assert_eq!(visible_in(text.into()).unwrap(), expected, "{text}");
        }
        for text in ["", "-1", "NoDevFiles", "none", ",0"] {
            let why = visible_in(text.into()).unwrap_err();
            assert!(why.contains(VISIBLE) && why.contains(text), "{why}");
        }
    }

    #[test]
    fn parts_of_a_gpu_stand_for_it() {
        let list = "GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-48aeb943)\n  \
                    MIG 3g.20gb     Device  0: (UUID: MIG-7c30)\n  \
                    MIG 3g.20gb     Device  1: (UUID: MIG-3f5e)\n\
                    GPU 1: NVIDIA A100-PCIE-40GB (UUID: GPU-90cd)\n";
        assert_eq!(listed_in(list), ["MIG-7c30", "MIG-3f5e", "1"]);
        assert_eq!(
            listed_in("GPU 0: x (UUID: GPU-1)\nGPU 1: x (UUID: GPU-2)\n"),
            ["0", "1"]
        );
        assert_eq!(listed_in("No devices found.\n"), [""; 0]);
    }

    #[test]
    fn gpus_are_dealt_out_in_turn() {
        let gpus = Gpus {
            names: vec!["0".into(), "GPU-x".into()],
            order: DeviceOrder::Absent,
        };
        assert_eq!(
            [0, 1, 2].map(|worker| gpus.of(worker).unwrap()),
            ["0", "GPU-x", "0"]
        );
        let words: Vec<_> = gpus.variables(3).iter().map(Variable::word).collect();
        let expected = [
            "CUDA_VISIBLE_DEVICES=GPU-x",
            "HIP_VISIBLE_DEVICES=GPU-x",
            "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        ];
        assert_eq!(words, expected);
        assert!(Gpus::default().variables(0).is_empty());
        let own = Gpus {
            order: DeviceOrder::Inherited,
            ..gpus
        };
        assert_eq!(own.variables(0).len(), 2);
    }
}
