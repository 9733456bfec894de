//! `FreezeService`: to and from the counter of the brake; and the thread that it is served on.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::{Server, caller};
use crate::desk::FreezeDesk;
use crate::wire::v1;
use crate::wire::v1::freeze_service_server::FreezeService;

/// The service before a desk.
pub struct Freezes(pub Arc<dyn FreezeDesk>);

#[tonic::async_trait]
impl FreezeService for Freezes {
    async fn get_freeze(
        &self,
        request: Request<v1::GetFreezeRequest>,
    ) -> Result<Response<v1::FreezeState>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.0.standing(&caller).await?.into()))
    }

    async fn freeze(&self, request: Request<v1::FreezeRequest>) -> Result<Response<v1::FreezeState>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.freeze(&caller, order).await?.into()))
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Result<Response<v1::FreezeState>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.resume(&caller, order).await?.into()))
    }
}

/// A server on a thread of its own; it stops when this is dropped.
pub struct Apart {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Serves on a thread and a runtime of its own, so that nothing that the rest of the process waits for delays an answer.
pub fn serve_apart(server: Server, listener: std::net::TcpListener) -> std::io::Result<Apart> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = move || {
        runtime.block_on(async move {
            let served = match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let stopped = async { stopped.await.unwrap_or(()) };
                    server.serve(listener, stopped).await.map(|_| ()).map_err(|fault| fault.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = served {
                tracing::error!("the freeze listener has ended: {problem}");
            }
        });
    };
    let thread = std::thread::Builder::new().name("freeze".to_owned()).spawn(serving)?;
    Ok(Apart { stop: Some(stop), thread: Some(thread) })
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
