use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub struct Engine {
    parts: Vec<Part>,
    by_name: HashMap<String, Part>,
    shared: Arc<Mutex<Part>>,
    spare: Option<Box<Part>>,
}
pub struct Part(Bolt, u8);
pub struct Bolt;
pub struct Failure;

impl Bolt {
    fn turn(&self) -> Result<(), Failure> {
        Ok(())
    }
}
impl Part {
    fn new() -> Result<Part, Failure> {
        Ok(Part(Bolt, 1))
    }
    fn find() -> Option<Self> {
        None
    }
    fn run(&self) -> &Bolt {
        &self.0
    }
}
impl Default for Engine {
    fn default() -> Self {
        todo!()
    }
}

pub enum Event {
    Part(Part),
    Pair { left: Part, right: Bolt },
    Stop,
}

impl Engine {
    fn go(&self) -> Result<(), Failure> {
        let part = Part::new()?;
        part.run().turn()?;
        Part::find().unwrap().run();
        let Some(found) = Part::find() else { return Ok(()) };
        found.run();
        for part in &self.parts {
            part.run();
        }
        for (_, part) in self.by_name.iter() {
            part.run();
        }
        if let Some(part) = self.by_name.get("a") {
            part.run();
        }
        self.parts.iter().filter(|part| part.run().turn().is_ok()).for_each(|part| part.0.turn().unwrap());
        self.shared.lock().unwrap().run();
        if let Some(spare) = &self.spare {
            spare.run();
        }
        self.parts[0].run();
        let (first, second) = (Part::new()?, Bolt);
        first.run();
        second.turn()
    }

    async fn later(&self) -> Part {
        Part(Bolt, 2)
    }
    async fn wait(&self) {
        self.later().await.run();
        Engine::default().go();
    }
}

fn handle(event: Event) {
    match event {
        Event::Part(part) if part.run().turn().is_ok() => {
            part.run();
        }
        Event::Pair { left, right: bolt } => {
            left.run();
            let _ = bolt.turn();
        }
        Event::Part(Part(bolt, _)) => drop(bolt.turn()),
        _ => {}
    }
}
