/** The page starts here. */

import { Application } from './application.js';
import { ApplicationContext, html, render } from './view/framework.js';
import { Page } from './view/page.js';

const application = await Application.start();
const root = document.getElementById('root');
root.replaceChildren();
render(html`<${ApplicationContext.Provider} value=${application}><${Page} /></${ApplicationContext.Provider}>`, root);
